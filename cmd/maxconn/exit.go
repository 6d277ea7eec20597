package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"github.com/maxconn/maxconn/internal/render"
)

// Exit statuses. 64 and 70 are those of sysexits(3).
const (
	statusHolds       = 0 // nothing binds, or a verb without a verdict did its work
	statusBinds       = 1
	statusUnknown     = 2 // could not tell
	statusNotJudged   = 3 // lint recognised nothing in some file, or did not read all of it
	statusUsage       = 64
	statusFailed      = 70
	statusInterrupted = 130
)

// failure is an error for the user: what was tried on what, and what to do about it.
type failure struct {
	status int
	err    error
	hint   string // "" where there is none
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// misuse is a failure that another command line would not have.
func misuse(hint, format string, args ...any) error {
	return &failure{statusUsage, fmt.Errorf(format, args...), hint}
}

// exit turns the error of a verb into words on the standard error and an exit status.
func (a *app) exit(err error) int {
	var f *failure
	switch {
	case err == nil:
		return a.status
	case errors.Is(err, context.Canceled):
		return statusInterrupted
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return a.status // the reader has seen what it wanted
	case errors.As(err, &f):
		a.complain(err, f.hint)
		return f.status
	}
	a.complain(err, "")
	return statusFailed
}

// mostQuoted is how much of a text from the command line is said back in an error, in characters.
const mostQuoted = 60

// quoted is what the user wrote, for an error.
func quoted(text string) string { return strconv.Quote(cut(text, mostQuoted)) }

// cut is the beginning of a text that is longer than n characters.
func cut(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i] + "..."
		}
		n--
	}
	return text
}

// longestError is where an error is cut off that repeats what a file says, in characters.
const longestError = 2000

// complain writes an error and a hint, a line each, free of what a terminal would obey.
func (a *app) complain(err error, hint string) {
	// errors.Join writes a line each
	words := strings.ReplaceAll(err.Error(), "\n", "; ")
	printf(a.stderr, "maxconn: error: %s\n", render.Clean(cut(words, longestError)))
	a.hint(hint)
}

// hint writes what to do next, if there is anything.
func (a *app) hint(words string) {
	if words != "" {
		printf(a.stderr, "maxconn: hint: %s\n", render.Clean(words))
	}
}
