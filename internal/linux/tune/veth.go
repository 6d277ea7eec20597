//go:build linux

package tune

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Veth is a pair of devices joined like a cable: what enters one end leaves the other.
type Veth struct {
	Name   string // in the namespace of the calling thread
	Peer   string // the other end
	PeerIn int    // process whose network namespace gets the other end
	// TxQueueLen and PeerTxQueueLen are in packets; 0 is what the kernel gives (1000).
	TxQueueLen, PeerTxQueueLen int
}

// AddVeth makes the pair, both ends down. It needs CAP_NET_ADMIN in both namespaces
// (net/core/rtnetlink.c rtnl_link_get_net_capable). The pair ends with either namespace.
func AddVeth(v Veth) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = v.Name
	if v.TxQueueLen > 0 {
		attrs.TxQLen = v.TxQueueLen
	}
	link := netlink.NewVeth(attrs)
	link.PeerName, link.PeerNamespace = v.Peer, netlink.NsPid(v.PeerIn)
	if v.PeerTxQueueLen > 0 {
		link.PeerTxQLen = v.PeerTxQueueLen
	}
	if err := netlink.LinkAdd(link); err != nil {
		return &Error{
			Op: "add veth pair",
			Subject: fmt.Sprintf("%s and %s in the namespace of process %d", v.Name,
				v.Peer, v.PeerIn),
			Err: err,
		}
	}
	return nil
}

// LinkMTU sets the MTU of a device of the calling thread's namespace, in bytes.
func LinkMTU(name string, bytes int) error {
	dev, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMTU(dev, bytes)
	}
	if err != nil {
		return &Error{Op: "set MTU of", Subject: name, Want: fmt.Sprint(bytes), Err: err}
	}
	return nil
}
