package sockdiag

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Request says which sockets a dump lists and what it tells of them. The
// kernel filters, but walks its whole table for every request that asks for
// more than Listen: one request for all is far cheaper than two.
type Request struct {
	// Family is unix.AF_INET, unix.AF_INET6, or unix.AF_UNSPEC for both in
	// one walk.
	Family uint8
	// States is a set of bits 1<<State. See State for what each asks for.
	States uint32
	// Memory asks for Socket.Memory and Socket.Drops.
	Memory bool
	// Info asks for Socket.HasInfo and its fields. The kernel locks each
	// socket for it (tcp_get_info), and sends three times as many bytes.
	Info bool
	// SourcePort, if not 0, is the only local port listed.
	SourcePort uint16
}

// Constants of include/uapi/linux/inet_diag.h.
const (
	tcpDiagRequest = 18 // TCPDIAG_GETSOCK

	sizeofDiagReq   = 60 // struct inet_diag_req
	sizeofDiagReqV2 = 56 // struct inet_diag_req_v2

	attrBytecode = 1 // INET_DIAG_REQ_BYTECODE

	requestSize = unix.SizeofNlMsghdr + sizeofDiagReq + unix.SizeofNlAttr + probeBytecodeSize
)

// String names the request for an error.
func (r Request) String() string {
	var b strings.Builder
	b.WriteString("TCP sockets")
	switch r.Family {
	case unix.AF_UNSPEC:
	case unix.AF_INET:
		b.WriteString(" of AF_INET")
	case unix.AF_INET6:
		b.WriteString(" of AF_INET6")
	default:
		fmt.Fprintf(&b, " of address family %d", r.Family)
	}
	if r.SourcePort != 0 {
		fmt.Fprintf(&b, " on port %d", r.SourcePort)
	}
	fmt.Fprintf(&b, " in states %#x", r.States)
	return b.String()
}

// append encodes the request as a whole netlink message.
func (r Request) append(b []byte, seq uint32, filter []operation) []byte {
	if r.Family == unix.AF_UNSPEC {
		b = r.appendBoth(b, seq)
	} else {
		b = r.appendOne(b, seq)
	}
	if len(filter) == 0 {
		return b
	}
	return appendBytecode(b, filter)
}

// filter is what SourcePort needs besides the port in the request: the walk
// over bound sockets is the only one that looks at filters and not at
// idiag_sport (net/ipv4/tcp_diag.c tcp_diag_dump).
func (r Request) filter() []operation {
	if r.SourcePort == 0 || r.States&BoundInactive.Mask() == 0 {
		return nil
	}
	return portBytecode(r.SourcePort)
}

// appendOne encodes SOCK_DIAG_BY_FAMILY with struct inet_diag_req_v2.
func (r Request) appendOne(b []byte, seq uint32) []byte {
	b = appendHeader(b, unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_REQUEST|unix.NLM_F_DUMP,
		sizeofDiagReqV2, seq)
	b = append(b, r.Family, unix.IPPROTO_TCP, r.extensions(), 0)
	b = binary.NativeEndian.AppendUint32(b, r.States)
	return r.appendID(b)
}

// appendBoth encodes TCPDIAG_GETSOCK with struct inet_diag_req. It is the
// older request, for TCP alone, and the only one that lists both families in
// one walk: inet_diag_dump_compat passes AF_UNSPEC on, for which
// SOCK_DIAG_BY_FAMILY has no handler.
func (r Request) appendBoth(b []byte, seq uint32) []byte {
	b = appendHeader(b, tcpDiagRequest, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, sizeofDiagReq, seq)
	b = append(b, unix.AF_UNSPEC, 0, 0, r.extensions())
	b = r.appendID(b)
	b = binary.NativeEndian.AppendUint32(b, r.States)
	return binary.NativeEndian.AppendUint32(b, 0) // idiag_dbs
}

// extensions is the set of attributes asked for: bit n-1 for attribute n.
func (r Request) extensions() (set uint8) {
	if r.Memory {
		set |= 1 << (attrSKMemInfo - 1)
	}
	if r.Info {
		set |= 1 << (attrInfo - 1)
	}
	return set
}

// appendID encodes struct inet_diag_sockid. A dump compares its ports only.
func (r Request) appendID(b []byte) []byte {
	var rest [46]byte
	b = binary.BigEndian.AppendUint16(b, r.SourcePort)
	return append(b, rest[:]...)
}

// appendHeader encodes struct nlmsghdr for a body of size bytes.
func appendHeader(b []byte, kind, flags uint16, size int, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+size))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return binary.NativeEndian.AppendUint32(b, 0) // from: the kernel knows
}

// operation is struct inet_diag_bc_op: one step of a filter that the kernel
// runs over each socket (net/ipv4/inet_diag.c inet_diag_bc_run). yes and no
// say how many bytes to go on; to end at the end accepts the socket, to end
// four bytes behind it rejects it. A comparison takes its port from the no of
// the operation that follows it. yes has to be the way to the next operation,
// for the kernel checks the filter along it, so only no can jump.
type operation struct {
	code, yes uint8
	no        uint16
}

const sizeofOperation = 4

// Codes that all kernels know; S_EQ would save a step, but is newer.
const (
	opJump               = 1
	opSourceAtLeast      = 2
	opSourceAtMost       = 3
	opDestinationAtLeast = 4
)

// Sizes in bytes.
const (
	comparison        = 2 * sizeofOperation // with its port
	jump              = sizeofOperation
	reject            = sizeofOperation // behind the end
	portBytecodeSize  = 2 * comparison
	probeBytecodeSize = comparison + jump + portBytecodeSize
)

// portBytecode accepts the sockets with this local port.
func portBytecode(port uint16) []operation {
	return []operation{
		{opSourceAtLeast, comparison, 2*comparison + reject}, {no: port},
		{opSourceAtMost, comparison, comparison + reject}, {no: port},
	}
}

// appendBytecode adds a filter to the netlink message b.
func appendBytecode(b []byte, filter []operation) []byte {
	b = binary.NativeEndian.AppendUint16(b,
		uint16(unix.SizeofNlAttr+len(filter)*sizeofOperation))
	b = binary.NativeEndian.AppendUint16(b, attrBytecode)
	for _, op := range filter {
		b = append(b, op.code, op.yes)
		b = binary.NativeEndian.AppendUint16(b, op.no)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

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
