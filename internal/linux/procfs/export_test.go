package procfs

import (
	"strings"
	"testing"
)

// CountEntries counts descriptors as OpenCount does on kernels before 6.2.
func (p *Process) CountEntries() (int, error) { return p.countEntries("fd") }

// FuzzDirents cuts what could come from getdents64: every entry takes bytes off,
// and a name ends in its only 0 byte.
func FuzzDirents(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x18\x00\x0a17\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			name, rest, ok := cutDirent(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) ||
				strings.IndexByte(string(name), 0) != len(name)-1 {
				t.Fatalf("name %q, %d bytes left of %d", name, len(rest), len(b))
			}
			decimal(name)
			b = rest
		}
	})
}

func FuzzSocketInode(f *testing.F) {
	for _, link := range []string{"socket:[12345]", "socket:[4294967295]",
		"socket:[4294967296]", "pipe:[1]", "/dev/null"} {
		f.Add([]byte(link))
	}
	f.Fuzz(func(t *testing.T, link []byte) {
		inode, ok := socketInode(link)
		if ok && !strings.HasPrefix(string(link), "socket:[") || !ok && inode != 0 {
			t.Fatalf("%q is %d, %v", link, inode, ok)
		}
	})
}

// ScatterOrder is the order in which a table is scattered.
func ScatterOrder(first, size int) (order []int) {
	s := newScatter(first, size)
	for {
		_, fd, ok := s.next()
		if !ok {
			return order
		}
		order = append(order, fd)
	}
}
