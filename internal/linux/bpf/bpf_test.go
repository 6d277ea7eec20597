//go:build linux

package bpf

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A map is counted whole, over several batches, and what it takes at most is told.
func TestMapsAreCounted(t *testing.T) {
	for _, kind := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash} {
		const most, put = 20_000, 3*batch + 17
		m := newMap(t, kind, "mx_count_test", most)
		keys, values := make([]uint32, put), make([]uint64, put)
		for i := range keys {
			keys[i] = uint32(i)
		}
		if _, err := m.BatchUpdate(keys, values, nil); err != nil {
			t.Fatal(err)
		}
		own, _ := infoOf(t, m).ID()
		all, err := Maps(func(name string) bool { return name == "mx_count_test" })
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(m Map) bool { return m.ID == uint32(own) })
		if i < 0 {
			t.Fatalf("%v lacks %d", all, own)
		}
		have := all[i]
		if have.Entries != put || have.Max != most || have.Err != nil ||
			have.LRU != (kind == ebpf.LRUHash) {
			t.Errorf("%+v, want %d of %d", have, put, most)
		}
	}
}

func TestMapsTooLargeAreNot(t *testing.T) {
	m := newMap(t, ebpf.Hash, "mx_large_test", 8)
	own, _ := infoOf(t, m).ID()
	left := int64(7)
	have, ok := readMap(m, uint32(own), func(string) bool { return true }, &left)
	if !ok || !errors.Is(have.Err, ErrLarge) || have.Entries != 0 {
		t.Errorf("%+v, want one that was not counted", have)
	}
}

func infoOf(t *testing.T, m *ebpf.Map) *ebpf.MapInfo {
	t.Helper()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func newMap(t *testing.T, kind ebpf.MapType, name string, most uint32) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: kind, KeySize: 4, ValueSize: 8,
		MaxEntries: most, Flags: 1}) // BPF_F_NO_PREALLOC, of hash tables alone
	if kind == ebpf.LRUHash {
		m, err = ebpf.NewMap(&ebpf.MapSpec{Name: name, Type: kind, KeySize: 4,
			ValueSize: 8, MaxEntries: most})
	}
	if err != nil {
		skip(t, err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// skip says that nobody may load here, or fails.
func skip(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, os.ErrPermission) || os.Geteuid() == 0 {
		t.Fatal(err)
	}
	t.Skipf("eBPF takes privileges: %v", err)
}

func TestDecision(t *testing.T) {
	r0 := func(n int32) asm.Instruction { return asm.Mov.Imm(asm.R0, n) }
	for _, c := range []struct {
		name string
		all  asm.Instructions
		want Decision
	}{
		{"returns 0", asm.Instructions{r0(0), asm.Return()}, RefusesAll},
		{"returns 1", asm.Instructions{r0(1), asm.Return()}, RefusesNone},
		{"returns 0 two ways", asm.Instructions{asm.LoadMem(asm.R2, asm.R1, 4, asm.Word),
			asm.JEq.Imm(asm.R2, 7, "other"), r0(0), asm.Return(),
			r0(0).WithSymbol("other"), asm.Return()}, RefusesAll},
		{"returns 0 or 1", asm.Instructions{asm.LoadMem(asm.R2, asm.R1, 4, asm.Word),
			r0(0), asm.JEq.Imm(asm.R2, 7, "out"), r0(1),
			asm.Return().WithSymbol("out")}, MayRefuse},
		{"returns what it reads", asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 4, asm.Word),
			asm.Return()}, MayRefuse},
		{"counts", asm.Instructions{r0(0), asm.Add.Imm(asm.R0, 1), asm.Return()},
			MayRefuse},
		{"asks a helper", asm.Instructions{r0(0), asm.FnGetPrandomU32.Call(), asm.Return()},
			MayRefuse},
		{"loads a packet", asm.Instructions{r0(0), asm.LoadAbs(0, asm.Byte), asm.Return()},
			MayRefuse},
		{"is empty", nil, MayRefuse},
	} {
		if have := decision(c.all); have != c.want {
			t.Errorf("a program that %s: %s, want %s", c.name, have, c.want)
		}
	}
}
