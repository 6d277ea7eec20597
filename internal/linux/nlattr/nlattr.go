// Package nlattr goes through netlink attributes: length and type, two bytes each in host order,
// then the value, padded to four bytes (include/uapi/linux/netlink.h struct nlattr).
package nlattr

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	header   = 4
	typeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
)

// ErrShort is a message or a value that ends too soon.
var ErrShort = errors.New("message too short")

// Each calls visit for every attribute in b, until it returns an error. A value is valid as long
// as b. What is left behind the last attribute and too short for one is skipped, as the kernel does
// (lib/nlattr.c __nla_validate_parse).
func Each(b []byte, visit func(kind uint16, value []byte) error) error {
	for len(b) >= header {
		size := int(binary.NativeEndian.Uint16(b))
		kind := binary.NativeEndian.Uint16(b[2:]) & typeMask
		if size < header || size > len(b) {
			return fmt.Errorf("attribute %d: length %d of %d", kind, size, len(b))
		}
		if err := visit(kind, b[header:size]); err != nil {
			return err
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}
