//go:build linux

package packet

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// sum16 is the Internet checksum, the slow way.
func sum16(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	sum := uint32(0)
	for i := 0; i+1 < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestSegment(t *testing.T) {
	p := Path{[6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}}
	for _, s := range []Segment{
		{0x0a400001, 0x0a630001, 1024, 7000, 1, 0, SYN},
		{0xffffffff, 0xfffffffe, 65535, 65535, 0xffffffff, 0xfffffffe, ACK | RST},
		{1, 2, 3, 4, 5, 6, ACK},
		{},
	} {
		b := bytes.Repeat([]byte{0xa5}, 256) // what stood there before
		n := p.Put(b, s)
		have, ok := ParseSegment(b[:n])
		if !ok || have != s {
			t.Errorf("%+v was read as %+v, %v", s, have, ok)
		}
		if !bytes.Equal(s.Packet(), b[14:n]) {
			t.Errorf("%+v: without its frame it is % x", s, s.Packet())
		}
		ip, tcp := b[14:34], b[34:n]
		if c := sum16(ip); c != 0 {
			t.Errorf("%+v: checksum of the IP header is off by %#x", s, c)
		}
		pseudo := append(bytes.Clone(ip[12:20]), 0, 6, 0, byte(len(tcp)))
		if c := sum16(pseudo, tcp); c != 0 {
			t.Errorf("%+v: checksum of the segment is off by %#x", s, c)
		}
	}
}

func TestARP(t *testing.T) {
	r := &Ring{MAC: [6]byte{2, 0, 0, 0, 0, 1}}
	b := make([]byte, 64)
	q, ok := ParseARP(b[:r.Ask(b, 5, 6)])
	if !ok || q != (ARP{false, r.MAC, 5, 6}) {
		t.Fatalf("question %+v %v", q, ok)
	}
	peer := &Ring{MAC: [6]byte{2, 0, 0, 0, 0, 2}}
	a, ok := ParseARP(b[:peer.Answer(b, q)])
	if !ok || a != (ARP{true, peer.MAC, 6, 5}) {
		t.Fatalf("answer %+v %v", a, ok)
	}
}

func FuzzParse(f *testing.F) {
	p := Path{}
	b := make([]byte, 256)
	f.Add(bytes.Clone(b[:p.Put(b, Segment{1, 2, 3, 4, 5, 6, SYN})]))
	f.Add(bytes.Clone(b[:(&Ring{}).Ask(b, 1, 2)]))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if s, ok := ParseSegment(frame); ok {
			again, ok := ParseSegment(b[:p.Put(b, s)])
			if !ok || again != s {
				t.Errorf("%+v became %+v", s, again)
			}
		}
		ParseARP(frame)
	})
}
