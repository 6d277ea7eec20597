package sockdiag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCaptures(t *testing.T) {
	all := readCaptures(t)
	if all == nil {
		t.Skip("the captures are of a little-endian machine")
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			var s Socket
			must(t, parse(c.body, &s), "parse")
			if got := meaning(s); got != c.meaning {
				t.Errorf("got\n%s\nwant\n%s", got, c.meaning)
			}
			if c.text() != (capture{c.name, c.origin, meaning(s), c.body}).text() {
				t.Error("the file is not as TestRecord writes it")
			}
		})
	}
}

// Each answer, cut anywhere, is an error or a socket with fewer attributes.
func TestCutCaptures(t *testing.T) {
	for _, c := range readCaptures(t) {
		for size := range c.body {
			var s Socket
			err := parse(c.body[:size], &s)
			if size < sizeofDiagMsg && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d bytes: %v", c.name, size, err)
			}
		}
	}
}

func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

// words encodes n numbers: 1, 2, 3.
func words(n int) (b []byte) {
	for i := range n {
		b = binary.NativeEndian.AppendUint32(b, uint32(i+1))
	}
	return b
}

func parsed(t *testing.T, body []byte) Socket {
	t.Helper()
	var s Socket
	must(t, parse(body, &s), "parse")
	return s
}

// Kernels of other ages send shorter, longer and other attributes.
func TestOtherKernels(t *testing.T) {
	memory := Memory{1, 2, 3, 4, 5, 6, 7, 8}
	base := parsed(t, plainBody(80))
	for _, test := range []struct {
		name       string
		attributes []byte
		change     func(*Socket)
	}{
		{"unknown attribute", attribute(999, 1, 2, 3), func(*Socket) {}},
		{"no value", attribute(attrSKV6Only), func(*Socket) {}},
		{"flags in the type", attribute(attrSKV6Only|0x8000, 1), func(s *Socket) {
			s.HasV6Only, s.V6Only = true, true
		}},
		{"memory without drops", attribute(attrSKMemInfo, words(8)...), func(s *Socket) {
			s.HasMemory, s.Memory = true, memory
		}},
		{"memory with drops", attribute(attrSKMemInfo, words(9)...), func(s *Socket) {
			s.HasMemory, s.Memory, s.HasDrops, s.Drops = true, memory, true, 9
		}},
		{"longer memory", attribute(attrSKMemInfo, words(12)...), func(s *Socket) {
			s.HasMemory, s.Memory, s.HasDrops, s.Drops = true, memory, true, 9
		}},
		{"short memory", attribute(attrSKMemInfo, words(7)...), func(*Socket) {}},
		{"short info", attribute(attrInfo, words(14)...), func(*Socket) {}},
		{"first info", attribute(attrInfo, words(26)...), func(s *Socket) {
			s.HasInfo, s.LastDataSent, s.LastDataReceived, s.LastAckReceived = true, 12,
				14, 15
		}},
		{"short cgroup", attribute(attrCgroupID, 1, 2, 3, 4), func(*Socket) {}},
		{"short sockopt", attribute(attrSockopt, 1), func(*Socket) {}},
		{"shutdown", attribute(attrShutdown, 0), func(s *Socket) { s.HasOwner = true }},
		{"last value not padded", attribute(attrShutdown, 3)[:5], func(s *Socket) {
			s.HasOwner = true
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := base
			test.change(&want)
			if got := parsed(t, append(plainBody(80), test.attributes...)); got !=
				want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	other := plainBody(80)
	other[0] = unix.AF_UNIX
	for name, body := range map[string][]byte{
		"empty":                  nil,
		"short":                  plainBody(80)[:71],
		"other family":           other,
		"attribute without head": append(plainBody(80), 1, 2, 3),
		"attribute of no length": append(plainBody(80), 0, 0, 8, 0),
		"attribute too long": append(plainBody(80),
			binary.NativeEndian.AppendUint32(nil, 0xffffffff)...),
	} {
		var s Socket
		if err := parse(body, &s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSplit(t *testing.T) {
	two := join(reply(7, 0, 1, 2, []byte{1, 2, 3}), reply(8, 0, 3, 4, nil))
	first, rest, err := split(two)
	must(t, err, "split")
	if first.kind != 7 || first.seq != 1 || first.port != 2 ||
		!bytes.Equal(first.body, []byte{1, 2, 3}) {
		t.Errorf("first message %+v", first)
	}
	second, rest, err := split(rest)
	if err != nil || second.kind != 8 || len(rest) != 0 {
		t.Errorf("second message %+v, rest %v, %v", second, rest, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range readCaptures(f) {
		f.Add(c.body)
	}
	f.Add(plainBody(80))
	f.Fuzz(func(t *testing.T, b []byte) {
		dirty := Socket{
			HasMemory:  true,
			HasInfo:    true,
			HasCgroup:  true,
			HasOwner:   true,
			Drops:      7,
			Timestamps: true,
		}
		var s Socket
		err, again := parse(b, &s), parse(b, &dirty)
		if (err == nil) != (again == nil) {
			t.Fatalf("%v, then %v", err, again)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if s != dirty {
			t.Fatalf("the value before shows: %+v, %+v", s, dirty)
		}
		for _, at := range []netip.AddrPort{s.Source, s.Destination} {
			if !at.IsValid() || at.Addr().Is4In6() ||
				s.Family == unix.AF_INET && !at.Addr().Is4() {
				t.Fatalf("address %s in family %d", at, s.Family)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add(join(socketReply(1, 10), done(1, 0)))
	f.Add(reply(unix.NLMSG_ERROR, 0, 1, scriptPort, words(1)))
	for _, c := range readCaptures(f) {
		f.Add(reply(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, 1, scriptPort, c.body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := split(b)
			if err != nil && (len(rest) != 0 || !errors.Is(err, ErrMalformed)) {
				t.Fatalf("%v, %d bytes left", err, len(rest))
			}
			if err == nil && len(m.body)+unix.SizeofNlMsghdr+len(rest) > len(b) {
				t.Fatal("bytes seen twice")
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			m.status()
			b = rest
		}
	})
}
