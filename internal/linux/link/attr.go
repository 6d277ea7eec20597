//go:build linux

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Netlink attributes: length and type, two bytes each in host order, then the
// value, padded to four bytes (include/uapi/linux/netlink.h struct nlattr).
const (
	attrHeader   = 4
	attrTypeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

var errShort = errors.New("message too short")

// eachAttr calls visit for every attribute in b. A value is valid as long as b.
func eachAttr(b []byte, visit func(kind uint16, value []byte) error) error {
	for len(b) >= attrHeader {
		size := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
		if size < attrHeader || size > len(b) {
			return fmt.Errorf("attribute %d: length %d of %d", kind, size, len(b))
		}
		if err := visit(kind, b[attrHeader:size]); err != nil {
			return err
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

// u32 reads the first four bytes of a value.
func u32(v []byte) (uint32, error) {
	if len(v) < 4 {
		return 0, errShort
	}
	return binary.NativeEndian.Uint32(v), nil
}

// setInt stores a 32-bit value.
func setInt(to *int, v []byte) error {
	n, err := u32(v)
	*to = int(n)
	return err
}

// text is a string without the zero that ends it.
func text(v []byte) string {
	s, _, _ := strings.Cut(string(v), "\x00")
	return s
}

// words reads a C structure of 64-bit numbers. A shorter one, from an older
// kernel, leaves the rest zero and says how many there were.
func words(v []byte, into []uint64) int {
	n := min(len(v)/8, len(into))
	for i := range n {
		into[i] = binary.NativeEndian.Uint64(v[8*i:])
	}
	return n
}
