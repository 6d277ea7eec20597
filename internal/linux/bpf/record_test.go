//go:build linux

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzRecords reads the same whatever the kernel gives at a time, and each record is whole.
func FuzzRecords(f *testing.F) {
	words := func(n ...uint32) (b []byte) {
		for _, w := range n {
			b = binary.NativeEndian.AppendUint32(b, w)
		}
		return b
	}
	f.Add(words(7, 7, 100, 4, 1, 1, 7, 7, 0, 4, 1, 1, 1, 2, 3, 4, 5, 6, 0, 0))
	f.Add(words(7, 7, 100, 4, 1, 1)[:23])
	f.Fuzz(func(t *testing.T, b []byte) {
		read := func(r io.Reader) (held []Held, tables []Table, err error) {
			err = eachRecord(r, func(h Held) error {
				held = append(held, h)
				return nil
			}, func(x Table) error {
				tables = append(tables, x)
				return nil
			})
			return held, tables, err
		}
		held, tables, err := read(bytes.NewReader(b))
		whole := len(held)*socketBytes + len(tables)*tableBytes
		if short := errors.Is(err, io.ErrUnexpectedEOF); short != (whole < len(b)) ||
			len(b)-whole >= tableBytes || err != nil && !short {
			t.Errorf("%d of %d bytes: %v", whole, len(b), err)
		}
		again, more, _ := read(iotest.OneByteReader(bytes.NewReader(b)))
		if len(again) != len(held) || len(more) != len(tables) {
			t.Errorf("%d and %d records, then %d and %d", len(held), len(tables),
				len(again), len(more))
		}
	})
}
