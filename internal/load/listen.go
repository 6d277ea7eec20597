//go:build linux

package load

import (
	"net/netip"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
)

// listening is how a socket listens.
type listening struct {
	backlog int
	reset   bool // accepted sockets end with RST
	shard   bool // SO_REUSEPORT
}

// listenAt opens a listener. SO_REUSEADDR lets it have a port on which connections of an
// earlier one are in TIME_WAIT.
func listenAt(at netip.AddrPort, l listening) (fd int, e syscall.Errno) {
	a := fastsock.NewAddr(at)
	if fd, e = fastsock.Socket(a.Family()); e != 0 {
		return -1, e
	}
	steps := []func() syscall.Errno{func() syscall.Errno { return fastsock.ReuseAddr(fd) }}
	if at.Addr().Is6() {
		steps = append(steps, func() syscall.Errno { return fastsock.OnlyIPv6(fd) })
	}
	if l.shard {
		steps = append(steps, func() syscall.Errno { return fastsock.ReusePort(fd) })
	}
	if l.reset {
		steps = append(steps, func() syscall.Errno { return fastsock.ResetOnClose(fd) })
	}
	steps = append(steps,
		func() syscall.Errno { return fastsock.Bind(fd, &a) },
		func() syscall.Errno { return fastsock.Listen(fd, l.backlog) })
	for _, step := range steps {
		if e = step(); e != 0 {
			fastsock.Close(fd)
			return -1, e
		}
	}
	return fd, 0
}
