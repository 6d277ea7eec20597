package sockdiag

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sizes and attributes of include/uapi/linux/inet_diag.h.
const (
	sizeofDiagMsg = 72 // struct inet_diag_msg

	attrTypeMask = 0x3fff // NLA_TYPE_MASK: two flag bits are no part of the type

	attrInfo      = 2  // struct tcp_info
	attrSKMemInfo = 7  // u32[], indexed by SK_MEMINFO_*
	attrShutdown  = 8  // u8
	attrSKV6Only  = 11 // u8
	attrCgroupID  = 21 // u64, aligned to 4 only
	attrSockopt   = 22 // struct inet_diag_sockopt
)

// parse decodes the body of one answer into s and overwrites all of it. What
// it does not know it skips: kernels add attributes.
func parse(b []byte, s *Socket) error {
	if len(b) < sizeofDiagMsg {
		return fmt.Errorf("%w: %d bytes where struct inet_diag_msg needs %d", ErrMalformed,
			len(b), sizeofDiagMsg)
	}
	*s = Socket{
		Family:      b[0],
		State:       State(b[1]),
		Timer:       Timer(b[2]),
		Retransmits: b[3],
		Interface:   binary.NativeEndian.Uint32(b[40:]),
		Cookie: uint64(binary.NativeEndian.Uint32(b[44:])) |
			uint64(binary.NativeEndian.Uint32(b[48:]))<<32,
		ExpiresMillis: binary.NativeEndian.Uint32(b[52:]),
		ReceiveQueue:  binary.NativeEndian.Uint32(b[56:]),
		SendQueue:     binary.NativeEndian.Uint32(b[60:]),
		UID:           binary.NativeEndian.Uint32(b[64:]),
		Inode:         binary.NativeEndian.Uint32(b[68:]),
	}
	source, destination, err := addresses(b)
	if err != nil {
		return err
	}
	s.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(b[4:]))
	s.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(b[6:]))
	return s.attributes(b[sizeofDiagMsg:])
}

// addresses decodes idiag_src and idiag_dst, which hold 16 bytes for either family.
func addresses(b []byte) (source, destination netip.Addr, err error) {
	switch b[0] {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[8:12])), netip.AddrFrom4([4]byte(b[24:28])), nil
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap(),
			netip.AddrFrom16([16]byte(b[24:40])).Unmap(), nil
	}
	return source, destination, fmt.Errorf("%w: address family %d", ErrMalformed, b[0])
}

// attributes decodes the attributes that follow struct inet_diag_msg.
func (s *Socket) attributes(b []byte) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlAttr {
			return fmt.Errorf("%w: %d bytes where an attribute needs %d", ErrMalformed,
				len(b), unix.SizeofNlAttr)
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return fmt.Errorf("%w: attribute length %d in %d bytes", ErrMalformed, size,
				len(b))
		}
		kind := binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
		s.attribute(kind, b[unix.SizeofNlAttr:size])
		b = b[min(align(size), len(b)):]
	}
	return nil
}

// attribute takes one attribute over. One that is too short for its meaning
// is left out, as if the kernel had not sent it.
func (s *Socket) attribute(kind uint16, b []byte) {
	switch kind {
	case attrShutdown:
		// Every full socket has it (inet_diag_msg_attrs_fill), no other kind
		// does (tcp_twsk_diag_fill, tcp_req_diag_fill), and there the owner's
		// zeros mean nothing.
		s.HasOwner = true
	case attrCgroupID:
		if len(b) >= 8 {
			s.HasCgroup, s.CgroupID = true, binary.NativeEndian.Uint64(b)
		}
	case attrSockopt:
		if len(b) >= 2 {
			s.HasSockopt, s.BindAddressNoPort = true, b[1]&firstBit() != 0
		}
	case attrSKV6Only:
		if len(b) >= 1 {
			s.HasV6Only, s.V6Only = true, b[0] != 0
		}
	case attrSKMemInfo:
		s.memory(b)
	case attrInfo:
		s.info(b)
	}
}

// firstBit is where C puts the first bit field of a byte: lowest on
// little-endian machines, highest on big-endian ones.
func firstBit() byte { return byte(binary.NativeEndian.Uint16([]byte{0x01, 0x80})) }

// memory decodes INET_DIAG_SKMEMINFO. SK_MEMINFO_DROPS came later than the rest.
func (s *Socket) memory(b []byte) {
	const drops = 8 * 4
	if len(b) < drops {
		return
	}
	s.HasMemory = true
	s.Memory = Memory{
		Received:      binary.NativeEndian.Uint32(b),
		ReceiveBuffer: binary.NativeEndian.Uint32(b[4:]),
		Sending:       binary.NativeEndian.Uint32(b[8:]),
		SendBuffer:    binary.NativeEndian.Uint32(b[12:]),
		Forward:       binary.NativeEndian.Uint32(b[16:]),
		WriteQueued:   binary.NativeEndian.Uint32(b[20:]),
		Options:       binary.NativeEndian.Uint32(b[24:]),
		Backlog:       binary.NativeEndian.Uint32(b[28:]),
	}
	if len(b) >= drops+4 {
		s.HasDrops, s.Drops = true, binary.NativeEndian.Uint32(b[drops:])
	}
}

// info decodes the part of struct tcp_info that all kernels have.
func (s *Socket) info(b []byte) {
	const options, dataSent, dataReceived, ackReceived = 5, 44, 52, 56
	const optionTimestamps = 1 // TCPI_OPT_TIMESTAMPS
	if len(b) < ackReceived+4 || s.State == Listen {
		return
	}
	s.HasInfo = true
	s.Timestamps = b[options]&optionTimestamps != 0
	s.LastDataSent = binary.NativeEndian.Uint32(b[dataSent:])
	s.LastDataReceived = binary.NativeEndian.Uint32(b[dataReceived:])
	s.LastAckReceived = binary.NativeEndian.Uint32(b[ackReceived:])
}
