// Package serverconf reads, in the configuration files of servers, how many connections they
// allow themselves. It is pure: bytes in, a figure out. What it does not understand makes
// the figure unknown, never higher.
package serverconf

import (
	"errors"
	"math"
	"strconv"
)

// Limit is what a server allows one of its processes.
type Limit struct {
	Connections int64
	Name        string // of the setting: "worker_connections"
	Inbound     bool   // inbound connections alone count
}

var (
	errIncludes = errors.New("the setting may be in an included file")
	errSyntax   = errors.New("its configuration is not understood")
	errNone     = errors.New("its configuration sets no limit")
)

// number is a count of connections in a file.
func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt32 {
		return 0, errSyntax
	}
	return n, nil
}
