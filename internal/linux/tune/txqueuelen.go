//go:build linux

package tune

import (
	"strconv"

	"github.com/vishvananda/netlink"
)

// LinkTxQueueLen sets the transmit queue length of a device of the calling thread's
// namespace, in packets, and reads it back. It needs CAP_NET_ADMIN there. Only some
// queueing disciplines use it, most when they are created; the device's ring may refuse
// (net/core/dev.c dev_change_tx_queue_len).
func LinkTxQueueLen(name string, packets uint32) error {
	want := strconv.FormatUint(uint64(packets), 10)
	fail := &Error{Op: "set txqueuelen of", Subject: name, Want: want}
	dev, err := netlink.LinkByName(name)
	if err != nil {
		fail.Err = err
		return fail
	}
	if err := netlink.LinkSetTxQLen(dev, int(packets)); err != nil {
		fail.Err = err
		return fail
	}
	if dev, err = netlink.LinkByName(name); err != nil {
		fail.Op, fail.Err = "read back txqueuelen of", err
		return fail
	}
	if got := strconv.Itoa(dev.Attrs().TxQLen); got != want {
		fail.Got = got
		return fail
	}
	return nil
}
