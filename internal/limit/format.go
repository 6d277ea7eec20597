package limit

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
)

// itoa is a number as settings and facts write it.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// plural is "1 port" or "12,000 ports".
func plural(n int64, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "y"):
		return figure.Count(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	case strings.HasSuffix(one, "s"), strings.HasSuffix(one, "ch"):
		return figure.Count(n) + " " + one + "es"
	}
	return figure.Count(n) + " " + one + "s"
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
