//go:build linux

package netfilter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// attempts bounds how often a dump is repeated that a change has interrupted (NLM_F_DUMP_INTR).
const attempts = 5

// request is struct nfgenmsg and attributes (include/uapi/linux/netfilter/nfnetlink.h).
type request []byte

func (r request) Len() int          { return len(r) }
func (r request) Serialize() []byte { return r }

func header(family byte) request { return request{family, 0, 0, 0} }

func (r request) number(kind uint16, n uint32) request {
	r = binary.NativeEndian.AppendUint16(r, 8)
	r = binary.NativeEndian.AppendUint16(r, kind)
	return binary.BigEndian.AppendUint32(r, n)
}

// dump asks for all of one kind and hands over the payload of each answer behind struct nfgenmsg,
// with its address family; it is valid during the call only. start is called before each attempt,
// and what earlier ones gave is to be forgotten. After the last attempt that was interrupted the
// answer counts all the same: tables of connections change all the time.
func dump(what string, kind, reply uint16, body request, start func(),
	each func(family byte, attributes []byte) error) error {
	for range attempts {
		start()
		var parse error
		req := nl.NewNetlinkRequest(int(kind), unix.NLM_F_DUMP)
		req.AddData(body)
		err := req.ExecuteIter(unix.NETLINK_NETFILTER, reply, func(m []byte) bool {
			if len(m) < len(header(0)) {
				parse = nlattr.ErrShort
			} else {
				parse = each(m[0], m[len(header(0)):])
			}
			return parse == nil
		})
		switch {
		case parse != nil:
			return fmt.Errorf("read %s: %w", what, parse)
		case err == nil:
			return nil
		case !errors.Is(err, netlink.ErrDumpInterrupted):
			return fmt.Errorf("list %s: %w", what, err)
		}
	}
	return nil
}

// attributes are those of one level by their number; of several alike the last.
type attributes map[uint16][]byte

func parse(b []byte) (attributes, error) {
	a := attributes{}
	err := nlattr.Each(b, func(kind uint16, v []byte) error {
		a[kind] = v
		return nil
	})
	return a, err
}

// number is an attribute of 32 or 64 bits in network order, 0 where it is absent.
func (a attributes) number(kind uint16) uint64 {
	switch v := a[kind]; {
	case len(v) >= 8:
		return binary.BigEndian.Uint64(v)
	case len(v) >= 4:
		return uint64(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (a attributes) text(kind uint16) string {
	s, _, _ := strings.Cut(string(a[kind]), "\x00")
	return s
}
