package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// The sysctls whose value is more than one number, see amount.
const (
	tcpMem    = "net.ipv4.tcp_mem"
	portRange = "net.ipv4.ip_local_port_range"
)

// sysctlUse counts what of a setting is in use, and says of what.
func sysctlUse(name string) (n int64, of string, err error) {
	k := knob.Lookup(name)
	if k == nil {
		return 0, "", nil
	}
	switch k.InUse {
	case knob.TrackedConnections:
		n, err = firstNumber("net.netfilter.nf_conntrack_count")
	case knob.OpenFiles:
		n, err = firstNumber("fs.file-nr")
	case knob.Tasks:
		n, err = threads()
	case knob.TimeWaits:
		n, err = sockstat("tw")
	case knob.Orphans:
		n, err = sockstat("orphan")
	case knob.QueuePages:
		n, err = sockstat("mem")
	case knob.LocalPorts:
		n, err = localPorts()
	case knob.Neighbours4:
		n, err = neighbours("arp_cache")
	case knob.Neighbours6:
		n, err = neighbours("ndisc_cache")
	}
	return n, k.InUse.String(), err
}

func firstNumber(key string) (int64, error) {
	text, err := procfs.Root("").Sysctl(key)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(text, " ")
	return strconv.ParseInt(first, 10, 64)
}

// sockstat is a figure of the line "TCP:" of the thread's network namespace. There, orphans and memory are those of the host
// (net/ipv4/proc.c sockstat_seq_show).
func sockstat(want string) (n int64, err error) {
	b, err := procfs.Root("").Read("thread-self/net/sockstat")
	if err != nil {
		return 0, err
	}
	found, bad := false, error(nil)
	err = procfs.ParseSockstat(b, func(proto, name, value string) {
		if proto == "TCP" && name == want {
			found = true
			n, bad = strconv.ParseInt(value, 10, 64)
		}
	})
	if err == nil && !found {
		err = fmt.Errorf("sockstat has no figure %q", want)
	}
	return n, errors.Join(err, bad)
}

func threads() (int64, error) {
	b, err := procfs.Root("").Read("loadavg")
	if err != nil {
		return 0, err
	}
	load, err := procfs.ParseLoadavg(b)
	return int64(load.Threads), err
}

// neighbours is the size of the one table of the host. The file is there in the first network namespace only, as are the sysctls.
func neighbours(table string) (int64, error) {
	b, err := procfs.Root("").Read("thread-self/net/stat/" + table)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	t, err := procfs.ParseTable(b)
	if err != nil {
		return 0, err
	}
	n, _ := t.Total("entries")
	return int64(n), nil
}

// localPorts counts the different ports of the range that connections hold, TIME_WAIT too, but for those that something listens
// on: its connections are incoming ones.
func localPorts() (n int64, err error) {
	text, err := procfs.Root("").Sysctl(portRange)
	if err != nil {
		return 0, err
	}
	var low, high uint16
	if _, err := fmt.Sscan(text, &low, &high); err != nil {
		return 0, fmt.Errorf("%s is %q: %w", portRange, text, err)
	}
	c, err := sockdiag.Open()
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var used, served [1 << 16]bool
	err = c.Dump(sockdiag.Request{States: sockdiag.AllStates}, func(s *sockdiag.Socket) error {
		if s.State == sockdiag.Listen {
			served[s.Source.Port()] = true
		} else {
			used[s.Source.Port()] = true
		}
		return nil
	})
	for port := int(low); port <= int(high); port++ {
		if used[port] && !served[port] {
			n++
		}
	}
	return n, err
}
