//go:build unix

package infile

import (
	"io/fs"
	"os"
	"syscall"
)

// patient opens without waiting: for a pipe's writer, or for a device; and takes no terminal.
const patient = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// duplicate is an open file of this program once more, so that closing it leaves the first open.
func duplicate(fd int, name string) (*os.File, error) {
	own, err := syscall.Dup(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	syscall.CloseOnExec(own)
	return os.NewFile(uintptr(own), name), nil
}
