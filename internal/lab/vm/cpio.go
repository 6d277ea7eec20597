//go:build linux

package vm

import (
	"bufio"
	"fmt"
	"io"
)

// cpio writes an archive in the form that the kernel unpacks into its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst, "newc"). The first error
// sticks and comes out of finish.
type cpio struct {
	to   *bufio.Writer
	made map[string]bool // entries so far
	err  error
}

func newCPIO(to io.Writer) *cpio { return &cpio{to: bufio.NewWriter(to), made: map[string]bool{}} }

// Modes of entries (inode(7)).
const (
	modeDirectory = 0o040000 // and permissions
	modeDevice    = 0o020600
	modeLink      = 0o120777
	modeFile      = 0o100644
	modeProgram   = 0o100755
)

func (c *cpio) link(name, target string)   { c.entry(name, modeLink, 0, 0, []byte(target)) }
func (c *cpio) file(name string, b []byte) { c.entry(name, fileMode(b), 0, 0, b) }

func (c *cpio) directory(name string, permissions uint32) {
	c.entry(name, modeDirectory|permissions, 0, 0, nil)
}

func (c *cpio) device(name string, major, minor uint32) {
	c.entry(name, modeDevice, major, minor, nil)
}

// finish ends the archive.
func (c *cpio) finish() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	if c.err == nil {
		c.err = c.to.Flush()
	}
	return c.err
}

func (c *cpio) entry(name string, mode, major, minor uint32, body []byte) {
	c.made[name] = true
	// inode, mode, uid, gid, links, mtime, size, device (2), rdev (2), name size, check
	c.print("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		0, mode, 0, 0, 1, 0, len(body), 0, 0, major, minor, len(name)+1, 0, name)
	c.pad(headerSize + len(name) + 1)
	if c.err == nil {
		_, c.err = c.to.Write(body)
	}
	c.pad(len(body))
}

const headerSize = 6 + 13*8

func (c *cpio) print(format string, args ...any) {
	if c.err == nil {
		_, c.err = fmt.Fprintf(c.to, format, args...)
	}
}

// pad fills up to a multiple of four.
func (c *cpio) pad(n int) {
	c.print("%.*s", -n&3, "\x00\x00\x00")
}

// fileMode makes programs of ELF objects and scripts.
func fileMode(b []byte) uint32 {
	if len(b) > 3 && (string(b[:4]) == "\x7fELF" || string(b[:2]) == "#!") {
		return modeProgram
	}
	return modeFile
}
