//go:build linux

package load

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/observe"
)

// Ceiling is how many connections a limit allows a run, computed before it starts.
type Ceiling struct {
	Limit       limit.ID
	Connections int64
	Why         string // the sum, in words
	// Common says what the wanted connections take, in words, where the rest of the
	// host needs it as well; "" where it does not.
	Common string
	// Spared says that the limit binds others and not this process: as many as they
	// like can be opened, and then other programs can open nothing. Number is what it
	// comes from ("fs.file-max").
	Spared bool
	Number string
}

// Forecast is what the limits of this host allow a run, the tightest first. Bytes is the
// memory that the run would take.
type Forecast struct {
	Ceilings []Ceiling
	Bytes    int64
	// Ends is how many ends of each connection are on this host.
	Ends int64
}

// Tightest is the lowest ceiling that is below what is wanted and binds this process.
func (f Forecast) Tightest(wanted int64) (Ceiling, bool) {
	var low Ceiling
	for _, c := range f.Ceilings {
		if c.Connections < wanted && !c.Spared &&
			(low.Limit == "" || c.Connections < low.Connections) {
			low = c
		}
	}
	return low, low.Limit != ""
}

// Foresee computes what this host allows before a run of Connect or (both) Pair starts. It
// opens nothing. The error is that of a spec that makes no sense.
func Foresee(ctx context.Context, s Spec, both bool) (f Forecast, err error) {
	if s, err = s.completed(both); err != nil {
		return f, err
	}
	f.Ends = 1
	if both || isLocal(s.Targets[0].Addr()) {
		f.Ends = 2
	}
	f.ports(s, both)
	if s.OneTable {
		here := int64(1)
		if both {
			here = 2
		}
		f.add(limit.ProcessFiles, (fileLimit()-spareFiles)/here,
			"one table of %d descriptors", fileLimit())
	}
	f.ofHost(ctx, s)
	return f, nil
}

// ForeseeServer computes what this host allows where only a server's end of each connection
// is a socket here: for ConnectRaw to a server of this host.
func ForeseeServer(ctx context.Context, s Spec) Forecast {
	f := Forecast{Ends: 1}
	f.ofHost(ctx, s)
	return f
}

// ofHost adds what all programs of the host share.
func (f *Forecast) ofHost(ctx context.Context, s Spec) {
	f.Bytes = s.Connections * f.Ends * limit.BytesPerEnd
	if m, ok := readMemory(); ok {
		keep := s.KeepFree
		if keep == 0 {
			keep = keepFree(m)
		}
		c := f.add(limit.ConnectionMemory, max(m.Free-keep, 0)/(f.Ends*limit.BytesPerEnd),
			"%d MiB free, %d MiB of it kept, %d bytes for each connection", m.Free>>20,
			keep>>20, f.Ends*limit.BytesPerEnd)
		c.Common = fmt.Sprintf("%d MiB, and memory is enough for %d", f.Bytes>>20,
			c.Connections)
	}
	if r, ok := GroupRoom(); ok {
		f.add(limit.CgroupMemory, max(r.Left-r.keep(), 0)/(f.Ends*limit.BytesPerEnd),
			"%s, %d MiB of it kept, %d bytes for each connection", r, r.keep()>>20,
			f.Ends*limit.BytesPerEnd)
	}
	f.gauges(ctx, s.Connections)
}

// spareFiles is what the program has open besides connections.
const spareFiles = 16

// add is valid until the next one is added.
func (f *Forecast) add(id limit.ID, n int64, why string, args ...any) *Ceiling {
	f.Ceilings = append(f.Ceilings, Ceiling{Limit: id, Connections: n,
		Why: fmt.Sprintf(why, args...)})
	return &f.Ceilings[len(f.Ceilings)-1]
}

// ports counts tuples. Both ends in one process have a listener for each table: there are
// always enough.
func (f *Forecast) ports(s Spec, both bool) {
	if both {
		return
	}
	ports, sources, targets := int64(s.Ports.count()), max(Addresses(s.Sources), 1),
		int64(len(s.Targets))
	f.add(limit.EphemeralPorts, ports*min(sources, 1<<32)*targets,
		"%d ports of %d source addresses to %d ports of the target", ports, sources,
		targets)
}

// gauges asks the catalogue about what is shared by the whole host, user or namespace.
func (f *Forecast) gauges(ctx context.Context, wanted int64) {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	s, err := observe.Observe(ctx, observe.Options{})
	if err != nil {
		return // what cannot be foreseen is met
	}
	for _, l := range limit.Catalogue() {
		switch l.Foreseen.Each {
		case limit.PerEnd:
			f.gauge(l, s, f.Ends, wanted)
		case limit.PerConnection:
			f.gauge(l, s, 1, wanted)
		}
	}
	f.watches(s)
}

// watches are those of this user, one for each end, and few for each worker. The catalogue
// has no gauge for a user without sockets.
func (f *Forecast) watches(s host.Snapshot) {
	most, ok := s.Read().Maybe(host.Sysctl("fs.epoll.max_user_watches"))
	if !ok {
		return
	}
	const eachWorker = 4
	used := eachWorker * (most/fileLimit() + 1)
	gauges, _ := limit.Find(limit.EpollWatches).Evaluate(s, limit.Workload{})
	for _, g := range gauges {
		if g.Subject.UID == strconv.Itoa(os.Geteuid()) {
			used += g.Used
		}
	}
	f.add(limit.EpollWatches, max(most-used, 0)/f.Ends,
		"a user may watch %s descriptors with epoll, about %s are watched besides",
		figure.Count(most), figure.Count(used))
}

func (f *Forecast) gauge(l *limit.Limit, s host.Snapshot, ends, wanted int64) {
	gauges, r := l.Evaluate(s, limit.Workload{})
	if r.Err() != nil {
		return
	}
	for _, g := range gauges {
		if g.Unbounded || g.Measure != limit.Held || !ofThisProcess(g.Subject) {
			continue
		}
		if l.Foreseen.OthersShare > 0 {
			f.shared(g, ends, wanted, observe.Administrator())
			continue
		}
		f.add(l.ID, max(g.Ceiling-g.Used, 0)/ends, "%s: %s, %d in use", g.Subject.Name,
			figure.Count(g.Ceiling), g.Used)
	}
}

// shared leaves a part to others: all programs of the host share it.
func (f *Forecast) shared(g limit.Gauge, ends, wanted int64, administrator bool) {
	others := g.Ceiling / g.Limit.Foreseen.OthersShare
	c := f.add(g.Limit.ID, max(g.Ceiling-g.Used-others, 0)/ends,
		"%s is %s for the whole host, %s are open, %s are left to others", g.Owner,
		figure.Count(g.Ceiling), figure.Count(g.Used), figure.Count(others))
	c.Common = fmt.Sprintf("%d %s, which are enough for %d", wanted*f.Ends, g.Unit,
		c.Connections)
	c.Spared, c.Number = g.Limit.Foreseen.SparesAdministrators && administrator, g.Owner
}

// ofThisProcess says whether a subject covers connections of this process.
func ofThisProcess(s limit.Subject) bool {
	if s.PID != 0 || s.Process != "" {
		return false
	}
	if s.Cgroup == "" {
		return true
	}
	b, err := procfs.Root("").Read("self/cgroup")
	return err == nil && strings.Contains(string(b), ":"+s.Cgroup)
}
