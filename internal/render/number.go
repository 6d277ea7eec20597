package render

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/limit"
)

// count writes a whole number with separators: 28,232.
func count(n int64) string { return figure.Count(n) }

// value is a text from the kernel; a lone number gets separators.
func value(s string) string {
	if digits := strings.TrimLeft(s, "+-"); digits != "" && len(s)-len(digits) <= 1 &&
		strings.Trim(digits, "0123456789") == "" {
		return figure.Separate(s)
	}
	return s
}

// marked is a number with the mark of how it was got.
func marked(n int64, how limit.How, atMost bool) string {
	switch {
	case atMost:
		return "<=" + count(n)
	case how == limit.Computed:
		return "=" + count(n)
	case how == limit.Measured:
		return "~" + count(n)
	}
	return count(n)
}

// plural is "1 fact" or "12 facts".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(int64(n)) + " " + one + "s"
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// who names a process, "" where none is known.
func who(name string, pid int64) string {
	switch {
	case pid == 0:
		return name
	case name == "":
		return "pid " + strconv.FormatInt(pid, 10)
	}
	return name + " (pid " + strconv.FormatInt(pid, 10) + ")"
}
