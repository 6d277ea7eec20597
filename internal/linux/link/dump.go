//go:build linux

package link

import (
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// attempts bounds how often a dump is repeated that the kernel says was
// interrupted by a change (NLM_F_DUMP_INTR).
const attempts = 5

// dump asks the kernel for all of one kind and hands over each message, which is
// valid only during the call. start is called before each attempt: what earlier
// ones gave is to be forgotten. It runs on the calling thread's namespace.
func dump(subject string, request, reply uint16, header nl.NetlinkRequestData, start func(),
	each func([]byte) error) error {
	var err error
	for range attempts {
		start()
		var parse error
		req := nl.NewNetlinkRequest(int(request), unix.NLM_F_DUMP)
		req.AddData(header)
		err = req.ExecuteIter(unix.NETLINK_ROUTE, reply, func(m []byte) bool {
			parse = each(m)
			return parse == nil
		})
		if parse != nil {
			return &Error{Op: "parse", Subject: subject, Err: parse}
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return &Error{Op: "dump", Subject: subject, Err: err}
	}
	return nil
}

func dumpLinks() (devices []Device, err error) {
	err = dump("links", unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC),
		func() { devices = nil }, func(m []byte) error {
			d, err := parseLink(m)
			devices = append(devices, d)
			return err
		})
	return devices, err
}

func dumpQdiscs() (found map[int][]Qdisc, err error) {
	err = dump("qdiscs", unix.RTM_GETQDISC, unix.RTM_NEWQDISC, &nl.TcMsg{Family: nl.FAMILY_ALL},
		func() { found = map[int][]Qdisc{} }, func(m []byte) error {
			index, q, err := parseQdisc(m)
			found[index] = append(found[index], q)
			return err
		})
	return found, err
}

func dumpAddresses() (found map[int][]Address, err error) {
	err = dump("addresses", unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfInfomsg(unix.AF_UNSPEC),
		func() { found = map[int][]Address{} }, func(m []byte) error {
			index, a, err := parseAddress(m)
			found[index] = append(found[index], a)
			return err
		})
	return found, err
}

// dumpNeighbours asks for each family by itself: AF_UNSPEC would bring the
// forwarding tables of bridges as well.
func dumpNeighbours() (map[int]Neighbours, error) {
	all := map[int]Neighbours{}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		var entries []neighbour
		err := dump("neighbours", unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH,
			&netlink.Ndmsg{Family: uint8(family)}, func() { entries = nil },
			func(m []byte) error {
				e, err := parseNeighbour(m)
				entries = append(entries, e)
				return err
			})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			n := all[e.index]
			n.add(e)
			all[e.index] = n
		}
	}
	return all, nil
}
