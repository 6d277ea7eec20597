//go:build linux

package tune

import (
	"os"
	"path/filepath"
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
