// Package observe fills a host.Snapshot from the running kernel: one subject, which is a network
// namespace and the processes that hold sockets in it. It only reads; there is no path from here to
// a writer of kernel state.
//
// Connections are counted while they stream out of sock_diag, in tables of bounded size: memory
// does not grow with their number. Who holds them is told from a bounded number of descriptors,
// read before that.
//
// Each kind of fact has its file. What could not be read is in the snapshot with the reason; only a
// namespace that cannot be entered is an error.
package observe

import (
	"context"
	"runtime"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// Options say what to observe. The zero value is the own network namespace.
type Options struct {
	// Namespace is the subject; "" is the namespace of the calling thread.
	Namespace netns.Path
	// Name is how the user called the namespace, "" where nobody did.
	Name string
	// Ports are local ports of which every holder is wanted.
	Ports []uint16
	// Root is where proc is mounted, "" for /proc. Tests give a tree of files; sockets
	// and devices come from the kernel all the same.
	Root string
}

// Observe takes one snapshot. It is safe for concurrent use. The error is that of a namespace that
// could not be entered (*netns.Error) or of the context.
func Observe(ctx context.Context, o Options) (host.Snapshot, error) {
	s := &subject{ctx: ctx, options: o, root: procfs.Root(o.Root)}
	var err error
	if o.Namespace == "" {
		runtime.LockOSThread()
		err = s.observe()
		runtime.UnlockOSThread()
	} else {
		err = netns.Do(o.Namespace, s.observe)
	}
	if err != nil {
		return host.Snapshot{}, err
	}
	return s.snapshot, nil
}

// Window takes two snapshots, length apart, and returns the later one with what moved in between.
// progress, unless nil, is called about once a second with the time left. When ctx ends, so does
// the wait, with the error of the context.
func Window(ctx context.Context, o Options, length time.Duration,
	progress func(left time.Duration)) (host.Snapshot, error) {
	start := time.Now()
	before, err := Observe(ctx, o)
	if err != nil {
		return host.Snapshot{}, err
	}
	taken := time.Now()
	if err := wait(ctx, start.Add(length), progress); err != nil {
		return host.Snapshot{}, err
	}
	again := time.Now()
	after, err := Observe(ctx, o)
	if err != nil {
		return host.Snapshot{}, err
	}
	// From the middle of one observation to the middle of the other.
	length = again.Sub(start)/2 + time.Since(taken)/2
	return host.Window(aligned(before, after), after,
		length.Round(max(length/100, time.Millisecond).Truncate(time.Millisecond))), nil
}

// Since is a sample with what moved since an earlier one, of which host.Baseline will do; length is
// the time between them.
func Since(before, after host.Snapshot, length time.Duration) host.Snapshot {
	return host.Window(aligned(before, after), after, length)
}

// wait returns at the time of end.
func wait(ctx context.Context, end time.Time, progress func(left time.Duration)) error {
	for {
		left := time.Until(end)
		if left <= 0 {
			return ctx.Err()
		}
		if progress != nil {
			progress(left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, time.Second)):
		}
	}
}

// subject is one observation under way.
type subject struct {
	ctx      context.Context
	options  Options
	root     procfs.Root
	id       netns.ID
	initial  bool // the initial network namespace, as its sysctls show
	child    bool // another one; neither where they do not show
	snapshot host.Snapshot
	looked   int // processes that were asked for loose sockets
	asked    []asked
	devices  []device
}

// observe runs on a thread that is in the namespace of the subject.
func (s *subject) observe() error {
	id, err := netns.Self()
	if err != nil { // no /proc: then no process can be told to be in it either
		s.miss(why(err), host.System("netns"))
	}
	s.id = id
	steps := []func(){
		s.system, s.sysctls, s.counters, s.sockstat, s.memory, s.softnet, s.conntrack,
		s.rules, s.nat, s.neighbours, s.routes, s.links, s.datapath, s.features, s.sockets,
		s.portHolders, s.unresolved,
	}
	for _, step := range steps {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		step()
	}
	return s.ctx.Err()
}
