//go:build linux

package tune

import (
	"github.com/vishvananda/netlink"
)

// Qdisc is the queue in which packets wait to be sent by a device.
type Qdisc struct {
	Kind string // "pfifo", "pfifo_fast", "noqueue", "fq_codel", ...
	// Rate holds packets back so that the queue fills: a token bucket (tbf) of that
	// many bytes a second hands over what Kind has queued. 0: as fast as the device
	// takes them.
	Rate uint64
}

// tbfBurst is the bytes that a token bucket lets through at once, at least one packet of
// Ethernet's MTU. A rate below 373 bytes a second would need more than the 2^32 ns of
// tokens that the kernel keeps (net/sched/sch_tbf.c tbf_change).
const tbfBurst = 1600

// RootQdisc gives a device of the calling thread's namespace a queue in place of the
// present one. It needs CAP_NET_ADMIN there. ENOENT: this kernel has no such kind.
func RootQdisc(device string, q Qdisc) error {
	fail := &Error{Op: "set qdisc of", Subject: device, Want: q.Kind}
	dev, err := netlink.LinkByName(device)
	if err != nil {
		fail.Err = err
		return fail
	}
	at := netlink.QdiscAttrs{
		LinkIndex: dev.Attrs().Index,
		Handle:    netlink.MakeHandle(1, 0),
		Parent:    netlink.HANDLE_ROOT,
	}
	// One of another kind cannot be replaced under the same handle; the default has
	// none and cannot be deleted.
	netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: at})
	if q.Rate > 0 {
		if err := netlink.QdiscReplace(tokenBucket(at, q.Rate)); err != nil {
			fail.Want, fail.Err = "tbf", err
			return fail
		}
		at.Parent, at.Handle = netlink.MakeHandle(1, 1), netlink.MakeHandle(2, 0)
	}
	if err := netlink.QdiscReplace(q.at(at)); err != nil {
		fail.Err = err
		return fail
	}
	return nil
}

// tokenBucket has no queue of its own that matters: its limit is far above what waits in its class.
func tokenBucket(at netlink.QdiscAttrs, rate uint64) *netlink.Tbf {
	return &netlink.Tbf{
		QdiscAttrs: at,
		Rate:       rate,
		Limit:      1 << 24,
		Buffer:     netlink.Xmittime(rate, tbfBurst),
	}
}

// at has no options: its limit is what the kind takes by itself.
func (q Qdisc) at(at netlink.QdiscAttrs) netlink.Qdisc {
	return &netlink.GenericQdisc{QdiscAttrs: at, QdiscType: q.Kind}
}
