//go:build linux

package packet

import "encoding/binary"

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
