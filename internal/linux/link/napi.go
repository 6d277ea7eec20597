//go:build linux

package link

import (
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// include/uapi/linux/netdev.h, Linux 6.8
const (
	netdevFamily     = "netdev"
	netdevVersion    = 1
	netdevCmdNAPIGet = 11
	netdevNAPIIndex  = 1 // NETDEV_A_NAPI_IFINDEX
	netdevNAPIID     = 2 // NETDEV_A_NAPI_ID
	sizeofGenlmsg    = 4
)

// dumpNAPI counts the NAPI instances of each device's driver. Those that are not
// the driver's (gro_cells) have no number and are left out.
func dumpNAPI() (map[int]int, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if err != nil {
		return nil, &Error{Op: "dump", Subject: "napi", Err: err}
	}
	var found map[int]int
	for range attempts {
		found = map[int]int{}
		if err = napiInto(found, int(family.ID)); !errors.Is(err,
			netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, &Error{Op: "dump", Subject: "napi", Err: err}
	}
	return found, nil
}

func napiInto(found map[int]int, family int) error {
	req := nl.NewNetlinkRequest(family, unix.NLM_F_DUMP)
	req.AddData(&nl.Genlmsg{Command: netdevCmdNAPIGet, Version: netdevVersion})
	var parse error
	err := req.ExecuteIter(unix.NETLINK_GENERIC, 0, func(m []byte) bool {
		var index int
		var own bool
		if index, own, parse = parseNAPI(m); own {
			found[index]++
		}
		return parse == nil
	})
	return errors.Join(parse, err)
}

// parseNAPI reads the answer to NETDEV_CMD_NAPI_GET: struct genlmsghdr and
// attributes.
func parseNAPI(m []byte) (index int, own bool, err error) {
	if len(m) < sizeofGenlmsg {
		return 0, false, errShort
	}
	err = eachAttr(m[sizeofGenlmsg:], func(kind uint16, v []byte) error {
		switch kind {
		case netdevNAPIIndex:
			return setInt(&index, v)
		case netdevNAPIID:
			own = true
		}
		return nil
	})
	return index, own && err == nil && index != 0, err
}
