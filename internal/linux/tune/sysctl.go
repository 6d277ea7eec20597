//go:build linux

package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// Sysctl writes value to key, spelled as for sysctl(8), in the network namespace
// of the calling thread, and reads it back. The error is an *Error; Kept() tells a
// value that the kernel accepted but changed or cut from one that it refused
// (EINVAL out of bounds, ENOENT unknown to this kernel or this namespace, EACCES
// or EROFS not writable from here).
func Sysctl(key, value string) error {
	return sysctl("/proc/sys", key, value)
}

func sysctl(root, key, value string) error {
	name, err := knob.File(key)
	if err != nil {
		return &Error{Op: "write", Subject: key, Want: value, Err: err}
	}
	file := filepath.Join(root, name)
	if err := writeOnce(file, value); err != nil {
		return &Error{Op: "write", Subject: key, Want: value, Err: err}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return &Error{Op: "read back", Subject: key, Want: value, Err: err}
	}
	got := strings.TrimSuffix(string(text), "\n")
	if !same(value, got) {
		return &Error{Op: "write", Subject: key, Want: value, Got: got}
	}
	return nil
}

// writeOnce hands the whole value over in one write(2), as /proc/sys wants it
// (sysctl_writes_strict), and never creates a file.
func writeOnce(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	_, err = f.Write([]byte(value + "\n"))
	return bare(err)
}

// bare drops the path, which Error names already in the user's spelling.
func bare(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}

// Error is the only error type of this package. Err is what the operating
// system said; it is nil when the write was accepted but another value was kept.
type Error struct {
	Op      string // "write", "read back", "set up", "add address", ...
	Subject string // net.core.somaxconn, lo, 10.0.0.1/8 on lo, process 123
	Want    string // what was to be written
	Got     string // what was read back, when that differs
	Err     error
}

// Error says what was tried on what: write net.core.somaxconn: read back 4096, want 65535.
func (e *Error) Error() string {
	switch {
	case e.Kept():
		return fmt.Sprintf("%s %s: read back %s, want %s", e.Op, e.Subject, e.Got, e.Want)
	case e.Want != "":
		return fmt.Sprintf("%s %s = %s: %v", e.Op, e.Subject, e.Want, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Subject, e.Err)
}

// Kept reports whether the kernel accepted the write and kept another value.
func (e *Error) Kept() bool { return e.Err == nil }

// Unwrap gives the error of the operating system.
func (e *Error) Unwrap() error { return e.Err }

// same reports whether the kernel's spelling of a value means the one written:
// it separates numbers by tabs and joins the ports of a bitmap into ranges
// (kernel/sysctl.c proc_do_large_bitmap).
func same(want, got string) bool {
	if slices.Equal(strings.Fields(want), strings.Fields(got)) {
		return true
	}
	a, aOK := spans(want)
	b, bOK := spans(got)
	return aOK && bOK && slices.Equal(a, b)
}

// span is an inclusive range of numbers.
type span struct{ low, high uint64 }

// spans reads a list such as 8080,9000-9100 into sorted, joined ranges. One plain
// number is not a list, so that 010 (octal 8, as the kernel reads it) differs from 10.
func spans(list string) ([]span, bool) {
	list = strings.TrimSpace(list)
	if !strings.ContainsAny(list, ",-") {
		return nil, false
	}
	var out []span
	for item := range strings.SplitSeq(list, ",") {
		s, ok := parseSpan(strings.TrimSpace(item))
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return join(out), true
}

func parseSpan(item string) (span, bool) {
	lowText, highText, isRange := strings.Cut(item, "-")
	if !isRange {
		highText = lowText
	}
	low, err1 := strconv.ParseUint(lowText, 10, 32)
	high, err2 := strconv.ParseUint(highText, 10, 32)
	return span{low, high}, err1 == nil && err2 == nil && low <= high
}

func join(list []span) []span {
	slices.SortFunc(list, func(a, b span) int { return int(a.low) - int(b.low) })
	out := list[:0]
	for _, s := range list {
		if last := len(out) - 1; last >= 0 && s.low <= out[last].high+1 {
			out[last].high = max(out[last].high, s.high)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Same reports whether two spellings of a setting mean the same to the kernel: white space
// of any kind separates numbers, and 8080,8081 is 8080-8081.
func Same(a, b string) bool { return same(a, b) }
