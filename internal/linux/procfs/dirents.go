package procfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// direntName is where the name begins in a struct linux_dirent64
// (include/linux/dirent.h): after d_ino, d_off, d_reclen and d_type.
const direntName = 8 + 8 + 2 + 1

// dirents lists an open directory without allocating for its entries.
type dirents struct {
	dir  int
	buf  []byte
	rest []byte // of buf: what the kernel filled and next has not returned
}

func newDirents(dir int, buf []byte) dirents { return dirents{dir: dir, buf: buf} }

// next returns the next name with its final 0 byte, or false at the end. The
// name is valid until the following call. "." and ".." are among them.
func (d *dirents) next() (name []byte, ok bool, err error) {
	if len(d.rest) == 0 {
		n, err := getdents(d.dir, d.buf)
		if n <= 0 || err != nil {
			return nil, false, err
		}
		d.rest = d.buf[:n]
	}
	name, rest, ok := cutDirent(d.rest)
	if !ok {
		d.rest = nil
		return nil, false, unix.EIO
	}
	d.rest = rest
	return name, true, nil
}

func getdents(dir int, buf []byte) (int, error) {
	for {
		n, err := unix.Getdents(dir, buf)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// cutDirent takes the first entry off what getdents64 returned.
func cutDirent(b []byte) (name, rest []byte, ok bool) {
	if len(b) <= direntName {
		return nil, nil, false
	}
	size := int(binary.NativeEndian.Uint16(b[16:]))
	if size <= direntName || size > len(b) {
		return nil, nil, false
	}
	name = b[direntName:size]
	end := bytes.IndexByte(name, 0)
	if end <= 0 {
		return nil, nil, false
	}
	return name[:end+1], b[size:], true
}

// decimal reads a name, with its final 0 byte, that is a number of the size of
// a pid or a descriptor.
func decimal(name []byte) (int, bool) {
	digits, ok := bytes.CutSuffix(name, []byte{0})
	if !ok {
		return 0, false
	}
	n, ok := digitsValue(digits, 1<<31-1)
	return int(n), ok
}

// digitsValue is the value of decimal digits, without allocating.
func digitsValue(digits []byte, most uint64) (uint64, bool) {
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + uint64(c-'0'); n > most {
			return 0, false
		}
	}
	return n, len(digits) > 0
}
