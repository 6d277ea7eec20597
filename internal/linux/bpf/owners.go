//go:build linux

package bpf

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Table is a table of descriptors. Most processes have one. Threads may have others (unshare(2),
// CLONE_FILES); one that several threads share beside the first comes once for each of them, with
// the same ID.
type Table struct {
	PID, Thread uint32 // in the pid namespace of the reader; equal for that of a process
	ID          uint64 // which table
	NetNS       uint32 // inode number of the network namespace of the process
	// How many descriptors it has, by kind: in procfs.Counts the same kinds.
	Sockets, Epolls, Events, Pipes, Files, Others int
	level                                         uint32 // of the reader's pid namespace
}

// Open is how many descriptors there are in all.
func (t Table) Open() int {
	return t.Sockets + t.Epolls + t.Events + t.Pipes + t.Files + t.Others
}

// Held is a TCP socket that a table holds.
type Held struct {
	PID, Thread uint32
	Table       uint64 // its ID
	Inode       uint32 // by which sock_diag knows it
	NetNS       uint32 // inode number of the network namespace of the socket
}

// Owners goes through the descriptors of all processes that the reader's pid namespace has, in one
// pass without a lock on them all: Linux 5.11 with its types, CAP_BPF and CAP_PERFMON.
type Owners struct {
	mu     sync.Mutex
	loaded *ebpf.Collection
	iter   *link.Iter
}

// NewOwners loads the program; netns is the network namespace whose sockets are wanted, by its
// inode number, 0 for all. The error is an *Error.
func NewOwners(netns uint32) (*Owners, error) {
	loaded, err := load("owners", func(s *ebpf.CollectionSpec) error {
		return s.Variables["only"].Set(netns)
	}, nil)
	if err != nil {
		return nil, err
	}
	iter, err := link.AttachIter(link.IterOptions{Program: loaded.Programs["owners"]})
	if err != nil {
		loaded.Close()
		return nil, refusal("owners", err)
	}
	return &Owners{loaded: loaded, iter: iter}, nil
}

// Close unloads the program.
func (o *Owners) Close() {
	o.iter.Close()
	o.loaded.Close()
}

// recordBytes are the lengths of the program's two kinds of record (src/owners.c).
const (
	socketBytes = 24
	tableBytes  = 56
)

// Each calls socket for each TCP socket of a table, and then table for the table. Tables that have
// no descriptor are left out.
func (o *Owners) Each(socket func(Held), table func(Table)) error {
	return o.each(func(h Held) error { socket(h); return nil },
		func(t Table) error { table(t); return nil })
}

// each is Each that stops at an error.
func (o *Owners) each(socket func(Held) error, table func(Table) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.loaded.Variables["last"].Set(uint64(0)); err != nil {
		return err
	}
	r, err := o.iter.Open()
	if err != nil {
		return refusal("owners", err)
	}
	defer r.Close()
	return eachRecord(r, socket, table)
}

func eachRecord(r io.Reader, socket func(Held) error, table func(Table) error) error {
	buf := make([]byte, 64<<10)
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		rest := buf[:have]
		for {
			used, err := record(rest, socket, table)
			if err != nil {
				return err
			}
			if used == 0 {
				break
			}
			rest = rest[used:]
		}
		have = copy(buf, rest)
		switch {
		case errors.Is(err, io.EOF) && have > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// record takes one record from the front, and says how long it was: 0 where it is not whole yet.
func record(b []byte, socket func(Held) error, table func(Table) error) (int, error) {
	if len(b) < socketBytes {
		return 0, nil
	}
	at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	id := binary.NativeEndian.Uint64(b[16:])
	if at(2) != 0 {
		return socketBytes, socket(Held{at(0), at(1), id, at(2), at(3)})
	}
	if len(b) < tableBytes {
		return 0, nil
	}
	n := func(i int) int { return int(at(6 + i)) }
	return tableBytes, table(Table{at(0), at(1), id, at(3), n(0), n(1), n(2), n(3), n(4), n(5),
		at(12)})
}
