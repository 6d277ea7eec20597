//go:build linux

package tune

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Constants of include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h.
const (
	batchBegin, batchEnd = 0x10, 0x11
	nfTables             = 10            // NFNL_SUBSYS_NFTABLES
	newTable             = nfTables << 8 // | NFT_MSG_NEWTABLE, which is 0
	newChain             = nfTables<<8 | 3
	newRule              = nfTables<<8 | 6
	familyIPv4           = 2 // NFPROTO_IPV4
	hookLocalIn          = 1 // NF_INET_LOCAL_IN
	hookLocalOut         = 3 // NF_INET_LOCAL_OUT
	hookPostRouting      = 4 // NF_INET_POST_ROUTING
	nested               = unix.NLA_F_NESTED
)

// TrackConnections makes the calling thread's network namespace track its IPv4 connections,
// by the smallest rule that needs it: a table of nf_tables whose one rule loads the state
// of a packet's connection and does nothing with it. Since Linux 4.10 a namespace tracks
// only where a rule asks for it (net/netfilter/nf_conntrack_proto.c nf_ct_netns_get). It
// needs CAP_NET_ADMIN there and a kernel with nf_tables and nft_ct, built in or loaded.
func TrackConnections() error {
	if err := trackConnections(); err != nil {
		return &Error{Op: "add a rule for", Subject: "connection tracking", Err: err}
	}
	return nil
}

func trackConnections() error { return addRules(trackingRules()) }

// addRules sends a batch and waits until all of it is acknowledged.
func addRules(batch []byte, last uint32) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC,
		unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err !=
		nil {
		return err
	}
	return acknowledged(fd, last)
}

// trackingRules is the batch, and the number of its last message that is acknowledged.
func trackingRules() (batch []byte, last uint32) {
	load := append(number(1, 1), number(2, 0)...) // into register 1: the state (NFT_CT_STATE)
	return ruleBatch(chain{name: "track", hook: hookLocalOut, kind: "filter"},
		expression("ct", load))
}

// message appends struct nlmsghdr, struct nfgenmsg and attributes.
func message(b []byte, kind, flags uint16, seq uint32, family uint8, resource uint16,
	attributes []byte) []byte {
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.SizeofNlMsghdr+4+len(attributes)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = append(b, family, 0)
	b = binary.BigEndian.AppendUint16(b, resource)
	return append(b, attributes...)
}

// attribute is struct nlattr and its padded content.
func attribute(kind uint16, content []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(content)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, content...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func text(kind uint16, s string) []byte { return attribute(kind, append([]byte(s), 0)) }

func number(kind uint16, n uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, n))
}

// acknowledged reads the kernel's answers to the batch up to the one for the message numbered last.
func acknowledged(fd int, last uint32) error {
	buf := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		if done, err := answers(buf[:n], last); done || err != nil {
			return err
		}
	}
}

// answers looks through messages of type NLMSG_ERROR, which are acknowledgements too: for a
// refusal, or for the message numbered last.
func answers(b []byte, last uint32) (done bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr+4 {
			return false, fmt.Errorf("a netlink message of %d bytes", len(b))
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr+4 || size > len(b) {
			return false, fmt.Errorf("a netlink message of %d bytes in %d", size,
				len(b))
		}
		if errno := -int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); errno !=
			0 {
			return false, unix.Errno(errno)
		}
		if binary.NativeEndian.Uint32(b[8:]) == last {
			return true, nil
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, nil
}
