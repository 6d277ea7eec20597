//go:build linux

package tune

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Every length in the batch must add up, or the kernel reads another message than was meant.
func TestRulesAreWellFormed(t *testing.T) {
	wellFormed(t, trackingRules)
	wellFormed(t, func() ([]byte, uint32) {
		return sourceRules(Sources{443, netip.MustParseAddr("192.0.2.1"), 40000, 40009})
	})
	wellFormed(t, func() ([]byte, uint32) { return allowanceRules(Allowance{443, 10}) })
}

func wellFormed(t *testing.T, rules func() ([]byte, uint32)) {
	t.Helper()
	batch, last := rules()
	var seq uint32
	for b := batch; len(b) > 0; {
		size := int(binary.NativeEndian.Uint32(b))
		if size < 20 || size > len(b) || size%4 != 0 {
			t.Fatalf("message of %d bytes in %d", size, len(b))
		}
		if seq = binary.NativeEndian.Uint32(b[8:]); seq <= last {
			checkAttributes(t, b[20:size])
		}
		b = b[size:]
	}
	if seq != last+1 {
		t.Errorf("the batch ends with message %d, %d is the last that is acknowledged", seq,
			last)
	}
}

func checkAttributes(t *testing.T, b []byte) {
	t.Helper()
	for len(b) > 0 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			t.Fatalf("attribute of %d bytes in %d", size, len(b))
		}
		if binary.NativeEndian.Uint16(b[2:])&nested != 0 {
			checkAttributes(t, b[4:size])
		}
		b = b[(size+3)&^3:]
	}
}

// answer is an acknowledgement as the kernel sends it: header, errno, the header of what was asked.
func answer(seq uint32, errno int32) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 36)
	b = binary.NativeEndian.AppendUint16(b, 2)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(binary.NativeEndian.AppendUint32(b, uint32(-errno)), make([]byte, 16)...)
}

func TestAnswers(t *testing.T) {
	if done, err := answers(append(answer(2, 0), answer(3, 0)...), 4); done || err != nil {
		t.Errorf("before the last: %v, %v", done, err)
	}
	if done, err := answers(append(answer(3, 0), answer(4, 0)...), 4); !done || err != nil {
		t.Errorf("with the last: %v, %v", done, err)
	}
	if _, err := answers(answer(4, int32(unix.EPERM)), 4); err != unix.EPERM {
		t.Errorf("a refusal: %v", err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(append(answer(2, 0), answer(4, 0)...))
	f.Add(answer(2, 1))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) { answers(b, 4) })
}
