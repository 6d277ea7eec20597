package apply

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/plan"
)

// usage is what is in use at one time. What sysctls bound comes from one snapshot, taken when the
// first is asked for; processes and listening sockets are those that are held.
type usage struct {
	*System
	observed func() (host.Snapshot, error)
}

// Usage is what is in use from now on.
func (s *System) Usage() Usage {
	return usage{s, sync.OnceValues(func() (host.Snapshot, error) {
		o := observe.Options{Namespace: pathOf(s.namespace)}
		return observe.Observe(context.Background(), o)
	})}
}

// InUse says what is in use of a target now.
func (u usage) InUse(t plan.Target) (n int64, of string, err error) {
	err = u.inside(func() error {
		n, of, err = u.inUse(t)
		return err
	})
	return n, of, edge("read the use of", t, "", err)
}

func (u usage) inUse(t plan.Target) (int64, string, error) {
	switch t.Kind {
	case host.ListenerKind:
		found, err := socketOf(t)
		return int64(found.ReceiveQueue), "connections wait in the queue", err
	case host.ProcessKind:
		n, err := u.highestFile(t)
		return n, "descriptors are in use, or lie below the highest socket", err
	case host.SysctlKind:
		return u.ofSysctl(t.Name)
	}
	return 0, "", nil
}

// ofSysctl counts what of a setting is in use, as its row says.
func (u usage) ofSysctl(name string) (n int64, of string, err error) {
	k := knob.Lookup(name)
	switch {
	case k == nil || k.InUse == knob.NotCounted:
		return 0, "", nil
	case k.InUse == knob.LocalPorts:
		n, err = localPorts()
		return n, k.InUse.String(), err
	}
	s, err := u.observed()
	if err != nil {
		return 0, "", err
	}
	text, _, _ := strings.Cut(s.Read().Optional(k.InUse.Fact()), " ")
	if text == "" {
		return 0, "", errors.New(s.Read().Why(k.InUse.Fact()))
	}
	n, err = strconv.ParseInt(text, 10, 64)
	return n, k.InUse.String(), err
}

// highestFile is the number of open descriptors, or one more than the highest that is a
// socket where that is more: RLIMIT_NOFILE bounds the number of a descriptor and not their
// count (fs/file.c alloc_fd).
func (s *System) highestFile(t plan.Target) (n int64, err error) {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return 0, err
	}
	err = s.withProcess(pid, t.Start, func(p *procfs.Process) error {
		count, err := p.OpenCount()
		n = int64(count)
		if err != nil {
			return err
		}
		files, err := p.Files()
		if err != nil {
			return nil // the count, which anybody may read, is a lower bound
		}
		defer files.Close()
		_, _, err = files.Sockets(0, func(fd int, _ uint32) bool {
			n = max(n, int64(fd)+1)
			return true
		})
		return err
	})
	return n, err
}

// The sysctls whose value is more than one number, see amount.
const (
	tcpMem    = "net.ipv4.tcp_mem"
	portRange = "net.ipv4.ip_local_port_range"
)

// localPorts counts the different ports of the range that connections hold, TIME_WAIT too, but for
// those that something listens on: its connections are incoming ones.
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
