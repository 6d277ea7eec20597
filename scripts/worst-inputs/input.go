package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// input is one kind of bad file and the command line that reads it.
type input struct {
	name  string
	args  string
	write func(*sized)
}

// sized is a file that takes that many bytes and no more.
type sized struct {
	w    io.Writer
	left int
}

// add writes what still fits, whole or not at all, and says whether it did.
func (s *sized) add(format string, args ...any) bool {
	text := fmt.Sprintf(format, args...)
	if len(text) > s.left {
		s.left = 0
		return false
	}
	s.left -= len(text)
	_, _ = io.WriteString(s.w, text) // the flush behind it fails, too
	return true
}

// end writes what a file ends with, however much there is.
func (s *sized) end(text string) { _, _ = io.WriteString(s.w, text) }

// framed is a beginning, one text again and again, and an end.
func framed(begin, text, end string) func(*sized) {
	return func(s *sized) {
		s.end(begin)
		for s.left >= len(text) && s.add("%s", text) {
		}
		s.end(end)
	}
}

// numbered writes a text with a number that grows; every verb of the format gets the number.
func numbered(begin, format, end string) func(*sized) {
	verbs := strings.Count(format, "%") - 2*strings.Count(format, "%%")
	return func(s *sized) {
		s.end(begin)
		for i := 1; s.add(format, slices.Repeat([]any{i}, verbs)...); i++ {
		}
		s.end(end)
	}
}

func cases() []input {
	return slices.Concat(snapshots(), tuning(), reports(), plans(), workloads())
}
