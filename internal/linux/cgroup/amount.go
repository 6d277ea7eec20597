package cgroup

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Amount is a figure of a group: a number, "unlimited", or why it is not known.
type Amount struct {
	N         uint64 // meaningless if Unlimited or Err is set
	Unlimited bool
	Err       error // fs.ErrNotExist where the group, or this version, does not keep the figure
}

// Known reports whether the amount is a number.
func (a Amount) Known() bool { return a.Err == nil && !a.Unlimited }

// String returns the number, "unlimited" or "unknown".
func (a Amount) String() string {
	switch {
	case a.Err != nil:
		return "unknown"
	case a.Unlimited:
		return "unlimited"
	}
	return strconv.FormatUint(a.N, 10)
}

// notKept is the amount of a figure that this version of cgroups does not have.
func notKept(what string, version int) Amount {
	return Amount{Err: fmt.Errorf("cgroup version %d has no %s: %w", version, what,
		fs.ErrNotExist)}
}

// noLimit is the least number that stands for no limit in version 1: the kernel
// prints the largest multiple of its page size that fits into 63 bits
// (mm/page_counter.c PAGE_COUNTER_MAX; 9223372036854771712 for 4 KB pages).
const noLimit = 1 << 62

// parseAmount reads the content of a file with one figure.
func parseAmount(name string, b []byte) Amount {
	text := strings.TrimSpace(string(b))
	if text == "max" {
		return Amount{Unlimited: true}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return Amount{Err: fmt.Errorf("parse %s line 1: %s is not a number", name,
			clip(text))}
	}
	if n >= noLimit {
		return Amount{Unlimited: true}
	}
	return Amount{N: n}
}

func readAmount(dir, name string) Amount {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	return parseAmount(name, b)
}

// parseKeyed finds a figure in a file of lines such as "oom_kill 0".
func parseKeyed(name, key string, b []byte) Amount {
	all, err := wholeLines(name, b)
	if err != nil {
		return Amount{Err: err}
	}
	for i, line := range all {
		found, text, ok := strings.Cut(line, " ")
		if !ok {
			return Amount{Err: fmt.Errorf(
				"parse %s line %d: %s is not a name and a number", name, i+1,
				clip(line))}
		}
		if found != key {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Amount{Err: fmt.Errorf("parse %s line %d: %s is not a number", name,
				i+1, clip(text))}
		}
		return Amount{N: n}
	}
	return Amount{Err: fmt.Errorf("%s has no %s: %w", name, key, fs.ErrNotExist)}
}

func readKeyed(dir, name, key string) Amount {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	return parseKeyed(name, key, b)
}

// readSum adds up figures of one file. It is known where all of them are.
func readSum(dir, name string, keys ...string) (sum Amount) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	for _, key := range keys {
		a := parseKeyed(name, key, b)
		if a.Err != nil {
			return a
		}
		sum.N += a.N
	}
	return sum
}
