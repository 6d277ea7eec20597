//go:build linux

package load

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/load/result"
)

// serverFirst says that the server's end is closed before the client's.
func serverFirst(c result.Close) bool { return c == result.ServerFIN || c == result.ServerRST }

// Spec is what Connect and Pair do. The zero value of a field is the default named there.
type Spec struct {
	Mode result.Mode
	// Targets is where to connect: one address, one or more ports. Pair listens on the address
	// with ports of its own; none means 127.0.0.1.
	Targets []netip.AddrPort
	// Connections is how many to open; 0 in churn means until the time is over.
	Connections int64
	// Rate is how many new connections a second are wanted, on a fixed schedule from
	// the start: a late one counts its waiting time. 0 means as fast as possible.
	Rate float64
	// Duration is the length of churn (default 10 s where Connections is 0, else until
	// that many were made), or how long all are held after the last is open.
	Duration time.Duration
	Close    result.Close // of churn; default rst. Held connections always end with RST
	// Sources are addresses to bind; none means that the kernel chooses the address.
	Sources []Range
	// Ports are the source ports to use, default ip_local_port_range without the reserved ones.
	Ports       Ports
	KernelPorts bool // connect() chooses the port
	// Threads is how many connect at a time, default one a CPU.
	Threads int
	Window  int           // handshakes and answers under way for a thread, default 256
	Timeout time.Duration // of a handshake or an answer, default 10 s
	Send    []byte        // is sent on each connection of churn and talk, and as message
	Expect  int           // bytes of answer to wait for; churn, talk
	// MessageRate is how many messages a second are sent over all held connections together.
	MessageRate float64
	OneTable    bool // keep to the process's one descriptor table
	// bytes of free memory and page cache at which opening stops; default a sixteenth
	// of all, at least 512 MiB
	KeepFree    int64
	Every       time.Duration
	NoHistogram bool
	// Diagnose observes the namespace before and at the end, and names the limit that
	// bound as check does.
	Diagnose bool
	// Progress, unless nil, is called with each sample (Every, default 1 s), by one goroutine.
	Progress func(result.Sample) `json:"-"`
	// Program starts a worker process, which is to call Work; it is used where threads
	// cannot have descriptor tables of their own, and with Processes always. nil: one
	// table has to do then.
	Program   []string `json:"-"`
	Processes bool

	share, of uint64 // of the space; a worker process
	onOpen    func(result.Sample)
}

// ServeSpec is what Serve does.
type ServeSpec struct {
	Listen   []netip.AddrPort
	Threads  int           // shards (SO_REUSEPORT), default one a CPU
	Backlog  int           // default 65535; the kernel cuts it to net.core.somaxconn
	Duration time.Duration // 0: until ctx ends
	// Answer is sent for each read; nil sends nothing. Echo sends back what came.
	Answer     []byte
	Echo       bool
	CloseFirst bool // close after the answer, or after accept() where there is none to give
	Reset      bool // close with RST
	OneTable   bool
	KeepFree   int64
	Every      time.Duration
	Diagnose   bool
	Progress   func(result.Sample)
	// Ready, unless nil, is called once all sockets listen, with their addresses.
	Ready func([]netip.AddrPort)
	// Share says that others may listen on the same ports (ErrShared).
	Share bool
}

const (
	defaultTime    = 10 * time.Second
	defaultWindow  = 256
	maxThreads     = 256
	maxConnections = 1 << 40
	maxMessage     = 1 << 20
)

// settled is the spec with defaults filled in, or what is wrong with it.
func (s Spec) settled() (Spec, error) {
	set(&s.Mode, result.Hold)
	set(&s.Close, result.ClientRST)
	set(&s.Threads, runtime.NumCPU())
	set(&s.Window, defaultWindow)
	set(&s.Timeout, defaultTime)
	set(&s.Every, time.Second)
	if s.Mode == result.Churn && s.Connections == 0 {
		set(&s.Duration, defaultTime)
	}
	if s.Mode == result.Burst {
		s.Window = int(min(max(s.Connections/int64(s.Threads)+1, 1), maxWindow))
	}
	return s, s.check()
}

const maxWindow = 1 << 20

// set fills in a default.
func set[T comparable](to *T, def T) {
	var zero T
	if *to == zero {
		*to = def
	}
}

func (s Spec) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("load: "+format, args...)
	}
	switch {
	case !slices.Contains(result.Modes, s.Mode):
		return bad("there is no mode %q", s.Mode)
	case !slices.Contains(result.Closes, s.Close):
		return bad("there is no way to close called %q", s.Close)
	case s.Mode != result.Churn && s.Connections <= 0:
		return bad("%s needs a number of connections", s.Mode)
	case s.Connections < 0 || s.Connections > maxConnections:
		return bad("%d connections", s.Connections)
	case s.Rate < 0 || math.IsNaN(s.Rate) || math.IsInf(s.Rate, 0) || s.MessageRate < 0 ||
		math.IsNaN(s.MessageRate) || math.IsInf(s.MessageRate, 0):
		return bad("a rate is a number from 0")
	case s.Duration < 0 || s.Timeout <= 0 || s.Every < 10*time.Millisecond:
		return bad("a time is too short")
	case s.Threads < 1 || s.Threads > maxThreads || s.Window < 1 || s.Window > maxWindow:
		return bad("%d threads with %d connects under way", s.Threads, s.Window)
	case s.Expect < 0 || s.Expect > maxMessage || len(s.Send) > maxMessage:
		return bad("a message has at most %d bytes", maxMessage)
	case s.Mode == result.Talk && s.Processes:
		return bad("worker processes do not talk; threads do")
	case s.Processes && len(s.Program) == 0:
		return bad("no program is named for worker processes")
	case s.Mode == result.Talk && (len(s.Send) == 0 || s.Expect == 0):
		return bad("talk needs something to send and an answer to expect")
	}
	return errors.Join(checkTargets(s.Targets), checkFamilies(s))
}

func checkTargets(targets []netip.AddrPort) error {
	for _, t := range targets {
		if !t.IsValid() {
			return errors.New("load: a target is not an address and port")
		}
	}
	return nil
}

// checkFamilies refuses sources that no target can be reached from.
func checkFamilies(s Spec) error {
	for _, r := range s.Sources {
		for _, t := range s.Targets {
			if r.First.Is4() != t.Addr().Unmap().Is4() {
				return fmt.Errorf(
					"load: source %s and target %s are of different families",
					r.First, t.Addr())
			}
		}
	}
	return nil
}
