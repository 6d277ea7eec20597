//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/cilium/ebpf"
)

// Map is a map of the host.
type Map struct {
	ID   uint32
	Name string // at most 15 bytes: the kernel cuts it (BPF_OBJ_NAME_LEN)
	Type string // "Hash", "LRUHash"
	LRU  bool   // throws out old entries to take new ones
	Max  int64  // entries that it takes
	// Entries are those in it, where they could be counted: Err says why not.
	Entries int64
	Err     error
}

const (
	// mostMaps bounds how many maps of a host are looked at.
	mostMaps = 8192
	// mostCounted bounds how many entries are counted at one time, in all maps together: each
	// is copied.
	mostCounted = 4 << 20
	// batch is how many entries one call copies, and mostBytes how large one may be.
	batch     = 4096
	mostBytes = 4096
)

// ErrLarge is the error of a map that was not counted for its size.
var ErrLarge = errors.New("too large to be counted")

// Maps lists the maps of the host that are wanted by name and are hash tables. The error is that of
// asking at all; ErrPermission where only CAP_SYS_ADMIN may.
func Maps(wanted func(name string) bool) (found []Map, err error) {
	left := int64(mostCounted)
	id := ebpf.MapID(0)
	for range mostMaps {
		if id, err = ebpf.MapGetNextID(id); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return found, nil
			}
			return nil, err
		}
		m, err := ebpf.NewMapFromID(id)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue // gone meanwhile
		case errors.Is(err, os.ErrPermission):
			return nil, err
		case err != nil:
			continue // of a type that this program does not know
		}
		if out, ok := readMap(m, uint32(id), wanted, &left); ok {
			found = append(found, out)
		}
		m.Close()
	}
	return found, fmt.Errorf("more than %d maps", mostMaps)
}

func readMap(m *ebpf.Map, id uint32, wanted func(string) bool, left *int64) (Map, bool) {
	info, err := m.Info()
	if err != nil || !wanted(info.Name) {
		return Map{}, false
	}
	out := Map{ID: id, Name: info.Name, Type: info.Type.String(), Max: int64(info.MaxEntries)}
	switch info.Type {
	case ebpf.Hash:
	case ebpf.LRUHash:
		out.LRU = true
	default: // those with a table for each CPU have no one figure
		return Map{}, false
	}
	if *left -= out.Max; *left < 0 || m.KeySize()+m.ValueSize() > mostBytes {
		out.Err = ErrLarge
		return out, true
	}
	out.Entries, out.Err = count(m)
	return out, true
}

// count goes through a map once, by batches (Linux 5.6). Entries that come or go meanwhile may be
// missed, or be there twice where the kernel begins a bucket again.
func count(m *ebpf.Map) (n int64, err error) {
	keys, values := buffer(m.KeySize()), buffer(m.ValueSize())
	var at ebpf.MapBatchCursor
	for n <= int64(m.MaxEntries()) {
		got, err := m.BatchLookup(&at, keys, values, nil)
		n += int64(got)
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return min(n, int64(m.MaxEntries())), nil // all seen
		case err != nil:
			return 0, err
		case got == 0:
			return n, nil
		}
	}
	return int64(m.MaxEntries()), nil
}

// buffer is room for a batch of keys or values: a slice of arrays of bytes.
func buffer(size uint32) any {
	entry := reflect.ArrayOf(int(size), reflect.TypeFor[byte]())
	return reflect.MakeSlice(reflect.SliceOf(entry), batch, batch).Interface()
}
