package sockdiag

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

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
