//go:build linux

package tune

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// RefuseConnects attaches a program to a cgroup of version 2 that refuses every connect() over IPv4
// of the processes in it and below, with EPERM (Linux 4.17). It goes with detach, or with the
// cgroup. It takes CAP_BPF and CAP_NET_ADMIN, before Linux 5.8 CAP_SYS_ADMIN.
func RefuseConnects(path string) (detach func() error, err error) {
	const hook = ebpf.AttachCGroupInet4Connect
	fail := func(err error) (func() error, error) {
		return nil, &Error{Op: "attach a program to", Subject: path, Err: err}
	}
	fd, err := unix.Open(path, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "deny_connect",
		Type: ebpf.CGroupSockAddr, AttachType: hook, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		unix.Close(fd)
		return fail(err)
	}
	if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: fd, Program: p,
		Attach: hook}); err != nil {
		p.Close()
		unix.Close(fd)
		return fail(err)
	}
	return func() error {
		err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: fd, Program: p,
			Attach: hook})
		p.Close()
		unix.Close(fd)
		if err != nil {
			return &Error{Op: "detach the program from", Subject: path, Err: err}
		}
		return nil
	}, nil
}

// Table is a hash table of eBPF, as datapaths keep connections in. It ends with Close, or with the
// process.
type Table struct{ m *ebpf.Map }

// NewTable makes a table for so many entries; one that is LRU throws out old ones for new ones.
func NewTable(name string, most uint32, lru bool) (*Table, error) {
	kind := ebpf.Hash
	if lru {
		kind = ebpf.LRUHash
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: kind, KeySize: 4, ValueSize: 4,
		MaxEntries: most})
	if err != nil {
		return nil, &Error{Op: "make table", Subject: name, Err: err}
	}
	return &Table{m}, nil
}

// Fill puts n further entries in, beginning with this key, and says how many were taken and why the
// first that was not was refused: 0 where none was.
func (t *Table) Fill(first, n uint32) (taken int, refused unix.Errno) {
	for key := first; key < first+n; key++ {
		err := t.m.Put(key, key)
		if err == nil {
			taken++
		} else if refused == 0 {
			errors.As(err, &refused)
		}
	}
	return taken, refused
}

// Close ends the table.
func (t *Table) Close() error { return t.m.Close() }
