package limit

import (
	"strconv"
	"strings"
)

// Count writes a whole number with separators: 28,232.
func Count(n int64) string { return Separate(strconv.FormatInt(n, 10)) }

// Separate puts separators into a text of digits, with or without a sign.
func Separate(s string) string {
	digits := strings.TrimLeft(s, "+-")
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return s[:len(s)-len(digits)] + b.String()
}

// itoa is a number as settings and facts write it.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// plural is "1 port" or "12,000 ports".
func plural(n int64, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "y"):
		return Count(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	case strings.HasSuffix(one, "s"), strings.HasSuffix(one, "ch"):
		return Count(n) + " " + one + "es"
	}
	return Count(n) + " " + one + "s"
}

// who names a process, as people do.
func who(name string, pid int64) string {
	switch {
	case pid == 0 && name == "":
		return "a process that could not be seen"
	case pid == 0:
		return name
	case name == "":
		return "pid " + itoa(pid)
	}
	return name + " (pid " + itoa(pid) + ")"
}
