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

// BytesPerEnd is the kernel memory of one end of an idle connection that is watched with epoll, in bytes. Measured
// on Linux 6.18, x86-64, as the loss of MemFree: 8,170 to 8,370 for both ends of 100,000 to 2,500,000 connections.
const BytesPerEnd = 4185

// Ceiling is how many connections a limit allows a run, computed before it starts.
type Ceiling struct {
	Limit       string
	Connections int64
	Why         string // the sum, in words
	// Spared says that the limit binds others and not this process: as many as they like can be opened, and then other programs
	// can open nothing.
	Spared bool
}

// Forecast is what the limits of this host allow a run, the tightest first. Bytes is the memory that the run would take.
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
		if c.Connections < wanted && !c.Spared && (low.Limit == "" || c.Connections < low.Connections) {
			low = c
		}
	}
	return low, low.Limit != ""
}

// Of is the ceiling of a limit, if it was foreseen.
func (f Forecast) Of(id string) (Ceiling, bool) {
	for _, c := range f.Ceilings {
		if c.Limit == id {
			return c, true
		}
	}
	return Ceiling{}, false
}

// Foresee computes what this host allows before a run of Connect or (both) Pair starts. It opens nothing. The error is
// that of a spec that makes no sense.
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
		f.add("process-files", (fileLimit()-spareFiles)/here, "one table of %d descriptors", fileLimit())
	}
	f.ofHost(ctx, s)
	return f, nil
}

// ForeseeServer computes what this host allows where only a server's end of each connection is a socket here: for ConnectRaw to a
// server of this host.
func ForeseeServer(ctx context.Context, s Spec) Forecast {
	f := Forecast{Ends: 1}
	f.ofHost(ctx, s)
	return f
}

// ofHost adds what all programs of the host share.
func (f *Forecast) ofHost(ctx context.Context, s Spec) {
	f.Bytes = s.Connections * f.Ends * BytesPerEnd
	if m, ok := readMemory(); ok {
		keep := s.KeepFree
		if keep == 0 {
			keep = keepFree(m)
		}
		f.add("connection-memory", max(m.Free-keep, 0)/(f.Ends*BytesPerEnd),
			"%d MiB free, %d MiB of it kept, %d bytes for each connection", m.Free>>20, keep>>20, f.Ends*BytesPerEnd)
	}
	f.gauges(ctx)
}

// spareFiles is what the program has open besides connections.
const spareFiles = 16

func (f *Forecast) add(id string, n int64, why string, args ...any) {
	f.Ceilings = append(f.Ceilings, Ceiling{Limit: id, Connections: n, Why: fmt.Sprintf(why, args...)})
}

// ports counts tuples. Both ends in one process have a listener for each table: there are always enough.
func (f *Forecast) ports(s Spec, both bool) {
	if both {
		return
	}
	ports, sources, targets := int64(s.Ports.count()), max(Addresses(s.Sources), 1), int64(len(s.Targets))
	f.add("ephemeral-ports", ports*min(sources, 1<<32)*targets, "%d ports of %d source addresses to %d ports of the target", ports, sources, targets)
}

// gauges asks the catalogue about what is shared by the whole host, user or namespace.
func (f *Forecast) gauges(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	s, err := observe.Observe(ctx, observe.Options{})
	if err != nil {
		return // what cannot be foreseen is met
	}
	for _, id := range []string{"system-files", "conntrack", "cgroup-memory"} {
		ends := f.Ends
		if id == "conntrack" {
			ends = 1 // both directions are one entry
		}
		f.gauge(limit.Find(id), s, ends)
	}
	f.watches(s)
}

// watches are those of this user, one for each end, and few for each worker. The catalogue has no gauge for a user without sockets.
func (f *Forecast) watches(s host.Snapshot) {
	most, ok := s.Read().Maybe(host.Sysctl("fs.epoll.max_user_watches"))
	if !ok {
		return
	}
	const eachWorker = 4
	used := eachWorker * (most/fileLimit() + 1)
	gauges, _ := limit.Find("epoll-watches").Evaluate(s, limit.Workload{})
	for _, g := range gauges {
		if g.Subject.UID == strconv.Itoa(os.Geteuid()) {
			used += g.Used
		}
	}
	f.add("epoll-watches", max(most-used, 0)/f.Ends, "a user may watch %s descriptors with epoll, about %s are watched besides", figure.Count(most), figure.Count(used))
}

func (f *Forecast) gauge(l *limit.Limit, s host.Snapshot, ends int64) {
	if l == nil {
		return
	}
	gauges, r := l.Evaluate(s, limit.Workload{})
	if r.Err() != nil {
		return
	}
	for _, g := range gauges {
		if g.Unbounded || g.Measure != limit.Held || !ofThisProcess(g.Subject) {
			continue
		}
		if l.ID == "system-files" {
			f.files(g, ends, observe.Administrator())
			continue
		}
		f.add(l.ID, max(g.Ceiling-g.Used, 0)/ends, "%s: %s, %d in use", g.Subject.Name, figure.Count(g.Ceiling), g.Used)
	}
}

// files leaves a sixteenth of fs.file-max to others: all programs of the host share it. Those with CAP_SYS_ADMIN go past it
// (fs/file_table.c alloc_empty_file).
func (f *Forecast) files(g limit.Gauge, ends int64, spared bool) {
	others := g.Ceiling / 16
	f.add("system-files", max(g.Ceiling-g.Used-others, 0)/ends, "fs.file-max is %s for the whole host, %s are open, %s are left to others", figure.Count(g.Ceiling), figure.Count(g.Used), figure.Count(others))
	f.Ceilings[len(f.Ceilings)-1].Spared = spared
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
