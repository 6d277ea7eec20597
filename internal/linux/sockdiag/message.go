package sockdiag

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is one netlink message: struct nlmsghdr and what follows it.
type message struct {
	kind, flags uint16
	seq, port   uint32
	body        []byte
}

// split cuts the first message off a datagram. The rest is empty when the
// datagram ends, also behind a message that is broken.
func split(b []byte) (m message, rest []byte, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return message{}, nil, fmt.Errorf("%w: %d bytes where a netlink header needs %d",
			ErrMalformed, len(b), unix.SizeofNlMsghdr)
	}
	size := int64(binary.NativeEndian.Uint32(b))
	if size < unix.SizeofNlMsghdr || size > int64(len(b)) {
		return message{}, nil, fmt.Errorf("%w: netlink length %d in %d bytes", ErrMalformed,
			size, len(b))
	}
	m = message{
		kind:  binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		port:  binary.NativeEndian.Uint32(b[12:]),
		body:  b[unix.SizeofNlMsghdr:size],
	}
	return m, b[min(align(int(size)), len(b)):], nil
}

// align rounds up to the 4 bytes to which netlink aligns messages and attributes.
func align(n int) int { return (n + 3) &^ 3 }

// status is the result that NLMSG_ERROR and NLMSG_DONE begin with: 0, or a
// negative errno. Kernels have sent a NLMSG_DONE without one.
func (m message) status() error {
	if len(m.body) < 4 {
		if m.kind == unix.NLMSG_DONE {
			return nil
		}
		return fmt.Errorf("%w: NLMSG_ERROR without an errno", ErrMalformed)
	}
	if code := int32(binary.NativeEndian.Uint32(m.body)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}
