package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ID finds one socket again. It holds no pointers. Cookie alone tells sockets
// apart; the rest is where the kernel looks for it. The zero ID names none.
type ID struct {
	Cookie                      uint64 // never 0 for a socket that was listed
	device                      uint32
	sourcePort, destinationPort uint16
	source, destination         [16]byte
	family                      uint8
}

// ID returns what Find needs to find the socket again.
func (s *Socket) ID() ID {
	return ID{
		Cookie:          s.Cookie,
		family:          s.Family,
		device:          s.Interface,
		sourcePort:      s.Source.Port(),
		destinationPort: s.Destination.Port(),
		source:          s.Source.Addr().As16(),
		destination:     s.Destination.Addr().As16(),
	}
}

// String is for errors: the addresses, and the cookie.
func (id ID) String() string {
	source := netip.AddrPortFrom(netip.AddrFrom16(id.source).Unmap(), id.sourcePort)
	destination := netip.AddrPortFrom(netip.AddrFrom16(id.destination).Unmap(),
		id.destinationPort)
	return fmt.Sprintf("%s -> %s (cookie %d)", source, destination, id.Cookie)
}

// Find asks again for one socket that a dump has listed. Of the request it
// uses Memory and Info: a dump that asks for neither, and Find for a few, costs
// much less than asking for all. The Socket is good until the Conn is used
// again.
//
// The error is an *Error. ENOENT says that the socket is gone, also where
// another has taken its addresses: the kernel compares the cookie. Bound
// sockets are never found, for the kernel looks at listeners and connections
// only (net/ipv4/tcp_diag.c tcp_diag_find_one_icsk), and of the listeners of
// one SO_REUSEPORT group just one is.
func (c *Conn) Find(id ID, r Request) (*Socket, error) {
	if err := c.drain(); err != nil {
		return nil, &Error{Op: "read the rest of the dump before", Err: err}
	}
	c.seq++
	c.request = r.appendExact(c.request[:0], c.seq, id)
	if err := c.write(); err != nil {
		return nil, &Error{Op: "ask for " + id.String(), Err: err}
	}
	defer func() { c.running = false }() // the answer is one message, or none
	for c.running {
		m, err := c.next()
		if err != nil {
			return nil, &Error{Op: "receive " + id.String(), Err: err}
		}
		found, err := c.decode(m, Request{})
		if err != nil {
			return nil, &Error{Op: "find " + id.String(), Err: err}
		}
		if found {
			return &c.socket, nil
		}
	}
	return nil, &Error{Op: "find " + id.String(), Err: unix.ENOENT}
}

// appendExact encodes SOCK_DIAG_BY_FAMILY for one socket.
func (r Request) appendExact(b []byte, seq uint32, id ID) []byte {
	b = appendHeader(b, unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_REQUEST, sizeofDiagReqV2, seq)
	b = append(b, id.family, unix.IPPROTO_TCP, r.extensions(), 0)
	b = binary.NativeEndian.AppendUint32(b, AllStates) // not looked at
	b = binary.BigEndian.AppendUint16(b, id.sourcePort)
	b = binary.BigEndian.AppendUint16(b, id.destinationPort)
	b = appendAddress(b, id.family, id.source)
	b = appendAddress(b, id.family, id.destination)
	b = binary.NativeEndian.AppendUint32(b, id.device)
	b = binary.NativeEndian.AppendUint32(b, uint32(id.Cookie))
	return binary.NativeEndian.AppendUint32(b, uint32(id.Cookie>>32))
}

// appendAddress encodes an address in 16 bytes: in the first four for AF_INET,
// and mapped, if it is an IPv4 address, for AF_INET6.
func appendAddress(b []byte, family uint8, address [16]byte) []byte {
	if family != unix.AF_INET {
		return append(b, address[:]...)
	}
	b = append(b, address[12:]...)
	return append(b, make([]byte, 12)...)
}
