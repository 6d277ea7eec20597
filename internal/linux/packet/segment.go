//go:build linux

package packet

import "encoding/binary"

// Flags of a TCP segment.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	ACK = 0x10
)

// Segment is a TCP segment over IPv4 without payload.
type Segment struct {
	From, To         uint32 // addresses
	FromPort, ToPort uint16
	Seq, Ack         uint32
	Flags            uint8
}

// Path is the frames of a device to one next hop.
type Path struct{ own, hop [6]byte }

// Path goes to the next hop with this address.
func (r *Ring) Path(hop [6]byte) Path { return Path{r.MAC, hop} }

const (
	ethernet  = 14
	header    = 20 // of IPv4 and of TCP
	mssOption = 4
)

// Put writes the frame of a segment and gives its length. A SYN says an MSS of 1460 and
// nothing else: no window scaling, no timestamps, no SACK.
func (p *Path) Put(b []byte, s Segment) int {
	tcp := header
	if s.Flags&SYN != 0 {
		tcp += mssOption
	}
	_ = b[ethernet+header+header+mssOption]
	copy(b, p.hop[:])
	copy(b[6:], p.own[:])
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip, t := b[ethernet:ethernet+header], b[ethernet+header:ethernet+header+tcp]
	binary.BigEndian.PutUint32(ip[0:], 0x45000000|uint32(header+tcp))
	binary.BigEndian.PutUint32(ip[4:], 0x00004000) // do not fragment
	binary.BigEndian.PutUint32(ip[8:], 64<<24|6<<16)
	binary.BigEndian.PutUint32(ip[12:], s.From)
	binary.BigEndian.PutUint32(ip[16:], s.To)
	addresses := words(s.From) + words(s.To)
	binary.BigEndian.PutUint16(ip[10:],
		fold(0x4500+uint32(header+tcp)+0x4000+64<<8+6+addresses))

	binary.BigEndian.PutUint16(t[0:], s.FromPort)
	binary.BigEndian.PutUint16(t[2:], s.ToPort)
	binary.BigEndian.PutUint32(t[4:], s.Seq)
	binary.BigEndian.PutUint32(t[8:], s.Ack)
	offset := uint32(tcp/4)<<12 | uint32(s.Flags)
	binary.BigEndian.PutUint32(t[12:], offset<<16|window)
	binary.BigEndian.PutUint32(t[16:], 0)
	sum := addresses + 6 + uint32(tcp) + uint32(s.FromPort) + uint32(s.ToPort) + words(s.Seq) +
		words(s.Ack) + offset + window
	if tcp > header {
		binary.BigEndian.PutUint32(t[20:], mss)
		sum += words(mss)
	}
	binary.BigEndian.PutUint16(t[16:], fold(sum))
	return ethernet + header + tcp
}

// Packet is the segment with its IP header alone, as a raw socket takes it (raw(7)).
func (s Segment) Packet() []byte {
	b := make([]byte, ethernet+header+header+mssOption+1)
	return b[ethernet:(&Path{}).Put(b, s)]
}

const (
	window = 65535
	mss    = 0x02040000 | 1460
)

func words(v uint32) uint32 { return v>>16 + v&0xffff }

// fold is the Internet checksum (RFC 1071) of a sum of 16-bit words.
func fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	return ^uint16(sum)
}

// ParseSegment reads a frame; not ok for anything but an unfragmented TCP segment over
// IPv4. Checksums are not looked at: frames of this host's other end may leave them to the
// device.
func ParseSegment(b []byte) (s Segment, ok bool) {
	if len(b) < ethernet+header+header || b[12] != 0x08 || b[13] != 0 || b[14]>>4 != 4 ||
		b[23] != 6 {
		return s, false
	}
	ip := b[ethernet:]
	at := int(ip[0]&15) * 4
	if at < header || len(ip) < at+header || binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return s, false
	}
	t := ip[at:]
	return Segment{
		binary.BigEndian.Uint32(ip[12:]), binary.BigEndian.Uint32(ip[16:]),
		binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:]),
		binary.BigEndian.Uint32(t[4:]), binary.BigEndian.Uint32(t[8:]), t[13] & 0x3f,
	}, true
}

// ARP is a question or an answer of the address resolution protocol for IPv4 over Ethernet
// (RFC 826).
type ARP struct {
	Answer     bool
	HasMAC     [6]byte // of who sends it
	Has, Wants uint32  // addresses of sender and target
}

const arpLength = ethernet + 28

// Ask writes a question: who has an address, from one that we have.
func (r *Ring) Ask(b []byte, own, wanted uint32) int {
	return putARP(b, r.MAC, [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, [6]byte{}, 1, own,
		wanted)
}

// Probe writes a question that tells nobody who asks: its sender has no address yet, so that no
// host changes its table (RFC 5227, section 2.1.1).
func (r *Ring) Probe(b []byte, wanted uint32) int {
	return putARP(b, r.MAC, [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, [6]byte{}, 1, 0,
		wanted)
}

// Answer writes the answer to a question: the address that it wants is at this device.
func (r *Ring) Answer(b []byte, q ARP) int {
	return putARP(b, r.MAC, q.HasMAC, q.HasMAC, 2, q.Wants, q.Has)
}

func putARP(b []byte, own, to, target [6]byte, operation uint16, sender, wanted uint32) int {
	copy(b, to[:])
	copy(b[6:], own[:])
	copy(b[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4})
	binary.BigEndian.PutUint16(b[20:], operation)
	copy(b[22:], own[:])
	binary.BigEndian.PutUint32(b[28:], sender)
	copy(b[32:], target[:])
	binary.BigEndian.PutUint32(b[38:], wanted)
	return arpLength
}

// ParseARP reads a frame; not ok for anything else.
func ParseARP(b []byte) (a ARP, ok bool) {
	if len(b) < arpLength || string(b[12:20]) != "\x08\x06\x00\x01\x08\x00\x06\x04" {
		return a, false
	}
	operation := binary.BigEndian.Uint16(b[20:])
	copy(a.HasMAC[:], b[22:])
	a.Answer, a.Has, a.Wants = operation == 2, binary.BigEndian.Uint32(b[28:]),
		binary.BigEndian.Uint32(b[38:])
	return a, operation == 1 || operation == 2
}
