//go:build linux

package netfilter

import (
	"context"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// State is that of the tracker for a TCP connection
// (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
type State uint8

const (
	SynSent     State = 1
	SynRecv     State = 2
	Established State = 3
	FinWait     State = 4
	TimeWait    State = 7
	Close       State = 8
)

// Entry is a TCP connection as connection tracking has it: where its answers come from and to which
// address and port they go, which is its source as the other end sees it.
type Entry struct {
	Source, Destination netip.AddrPort
	State               State
	Rewritten           bool // the source address or port is not the sender's own
}

// include/uapi/linux/netfilter/nfnetlink_conntrack.h, nf_conntrack_common.h
const (
	ctGet, ctNew = 0x101, 0x100 // NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET and _NEW

	ctaReply, ctaStatus, ctaProtoInfo, ctaStatusMask = 2, 3, 4, 26

	ctaTupleIP, ctaTupleProto            = 1, 2
	ctaV4Src, ctaV4Dst                   = 1, 2
	ctaV6Src, ctaV6Dst                   = 3, 4
	ctaProtoNum, ctaSrcPort, ctaDstPort  = 1, 2, 3
	ctaProtoInfoTCP, ctaProtoInfoTCPKind = 1, 1

	statusSrcNAT = 1 << 4 // IPS_SRC_NAT
)

// Entries hands over the entries of TCP connections, all or those whose source was rewritten. Since
// Linux 5.17 the kernel leaves the others out (ctnetlink_filter_match; CTA_STATUS_MASK); before, it
// sends them all. start is called before each attempt.
func Entries(ctx context.Context, rewritten bool, start func(), each func(Entry)) error {
	body := header(unix.AF_UNSPEC)
	if rewritten {
		body = body.number(ctaStatus, statusSrcNAT).number(ctaStatusMask, statusSrcNAT)
	}
	return dump("the entries of connection tracking", ctGet, ctNew, body, start,
		func(_ byte, b []byte) error {
			e, tcp, err := parseEntry(b)
			if err == nil && tcp && (e.Rewritten || !rewritten) {
				each(e)
			}
			if err == nil {
				err = ctx.Err()
			}
			return err
		})
}

// parseEntry reads the attributes of IPCTNL_MSG_CT_NEW; tcp is false of other protocols.
func parseEntry(b []byte) (e Entry, tcp bool, err error) {
	err = nlattr.Each(b, func(kind uint16, v []byte) (err error) {
		switch kind {
		case ctaReply:
			tcp, err = e.setReply(v)
		case ctaStatus:
			if len(v) < 4 {
				return nlattr.ErrShort
			}
			e.Rewritten = binary.BigEndian.Uint32(v)&statusSrcNAT != 0
		case ctaProtoInfo:
			err = e.setState(v)
		}
		return err
	})
	return e, tcp, err
}

// setReply reads a tuple: the answer's source is the destination, and the other way round.
func (e *Entry) setReply(b []byte) (tcp bool, err error) {
	var from, to netip.Addr
	var fromPort, toPort uint16
	err = nlattr.Each(b, func(kind uint16, v []byte) error {
		return nlattr.Each(v, func(inner uint16, v []byte) error {
			switch {
			case kind == ctaTupleIP && (inner == ctaV4Src || inner == ctaV6Src):
				from, _ = netip.AddrFromSlice(v)
			case kind == ctaTupleIP && (inner == ctaV4Dst || inner == ctaV6Dst):
				to, _ = netip.AddrFromSlice(v)
			case kind != ctaTupleProto:
			case inner == ctaProtoNum:
				tcp = len(v) > 0 && v[0] == unix.IPPROTO_TCP
			case len(v) < 2:
			case inner == ctaSrcPort:
				fromPort = binary.BigEndian.Uint16(v)
			case inner == ctaDstPort:
				toPort = binary.BigEndian.Uint16(v)
			}
			return nil
		})
	})
	e.Source, e.Destination = netip.AddrPortFrom(to, toPort), netip.AddrPortFrom(from, fromPort)
	return tcp && from.IsValid() && to.IsValid(), err
}

func (e *Entry) setState(b []byte) error {
	return nlattr.Each(b, func(kind uint16, v []byte) error {
		if kind != ctaProtoInfoTCP {
			return nil
		}
		return nlattr.Each(v, func(kind uint16, v []byte) error {
			if kind == ctaProtoInfoTCPKind && len(v) > 0 {
				e.State = State(v[0])
			}
			return nil
		})
	})
}
