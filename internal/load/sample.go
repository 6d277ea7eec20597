//go:build linux

package load

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/load/result"
)

// mostSamples bounds the series; when it is full, every second one goes and the rest are
// twice as far apart.
const mostSamples = 4096

// watcher samples a run and guards the memory.
type watcher struct {
	*run
	mu      sync.Mutex
	series  []result.Sample
	every   time.Duration
	cpu     time.Duration // at the start
	keep    int64
	group   *group // nil where no cgroup bounds memory
	highest int64  // open connections, at any look
	stop    chan struct{}
	stopped chan struct{}
}

func (r *run) watch(every time.Duration, keep int64, progress func(result.Sample)) *watcher {
	w := &watcher{
		run:     r,
		every:   every,
		keep:    keep,
		cpu:     fastsock.CPUTime(),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if m, ok := readMemory(); ok && keep == 0 {
		w.keep = keepFree(m)
	}
	if g := ownGroup(); g != nil {
		if _, bounded := g.room(); bounded {
			w.group = g
		}
	}
	go w.loop(progress)
	return w
}

// guardEvery is how often memory is looked at: at 50,000 connections a second 80 MB go
// between two looks.
const guardEvery = 200 * time.Millisecond

// guardGroupEvery is the same for a cgroup, which may be small.
const guardGroupEvery = 20 * time.Millisecond

// guard stops the run before the host or the cgroup has no memory left.
func (w *watcher) guard(m Memory) {
	if r, ok := w.group.room(); ok && r.Left < r.keep() {
		w.tight.CompareAndSwap(nil, &r)
		w.halt(result.StoppedMemory)
	}
	if m.Total > 0 && m.Free < w.keep {
		w.halt(result.StoppedMemory)
	}
}

func (w *watcher) loop(progress func(result.Sample)) {
	defer close(w.stopped)
	often := guardEvery
	if w.group != nil {
		often = guardGroupEvery
	}
	tick := time.NewTicker(min(often, w.every))
	defer tick.Stop()
	next := w.every
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.highest = max(w.highest, w.allOpen())
		m, _ := readMemory()
		w.guard(m)
		if now := time.Duration(w.now()); now >= next {
			s := w.sample(m)
			if progress != nil {
				progress(s)
			}
			next = now.Truncate(w.every) + w.every
		}
	}
}

// sample takes one and keeps it.
func (w *watcher) sample(m Memory) result.Sample {
	s := result.Sample{
		Seconds: float64(w.now()) / 1e9, Attempted: w.sum(func(t *tally) *atomic.Int64 {
			return &t.attempted
		}), Established: w.allEstablished(), Open: w.allOpen(),
		Failed: w.failures.total(), Messages: w.sum(func(t *tally) *atomic.Int64 {
			return &t.messages
		}), Free: m.Free, CPU: (fastsock.CPUTime() - w.cpu).Seconds(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var before result.Sample
	if n := len(w.series); n > 0 {
		before = w.series[n-1]
	}
	if d := s.Seconds - before.Seconds; d > 0 {
		s.PerSecond = float64(s.Established-before.Established) / d
	}
	w.series = append(w.series, s)
	if len(w.series) >= mostSamples {
		w.series, w.every = halved(w.series), 2*w.every
	}
	return s
}

// halved keeps every second sample, with the rates over the longer time.
func halved(series []result.Sample) []result.Sample {
	out := series[:0]
	var before result.Sample
	for i := 1; i < len(series); i += 2 {
		s := series[i]
		if d := s.Seconds - before.Seconds; d > 0 {
			s.PerSecond = float64(s.Established-before.Established) / d
		}
		out, before = append(out, s), s
	}
	return out
}

// end stops it and gives the series with a last sample, and how many were ever seen open.
func (w *watcher) end() ([]result.Sample, int64) {
	close(w.stop)
	<-w.stopped
	m, _ := readMemory()
	w.sample(m)
	return w.series, w.highest
}

// Memory is what the host has, in bytes. MemAvailable is not asked: it counts inodes and
// dentries of open sockets as reclaimable, which they are not, and said 8.8 GB where 3.9 GB
// were left (measured, Linux 6.18, 2,500,000 pairs).
type Memory struct {
	Total int64
	// MemFree + file pages of the page cache: what can be had without closing anything
	Free int64
	Slab int64
}

func readMemory() (m Memory, ok bool) {
	b, err := procfs.Root("").Read("meminfo")
	if err != nil {
		return m, false
	}
	f, err := procfs.ParseMeminfo(b)
	if err != nil {
		return m, false
	}
	kB := func(name string) int64 { return int64(f[name]) << 10 }
	// Shared memory is on the anonymous lists: these two are files only (mm/vmscan.c).
	return Memory{kB("MemTotal"), kB("MemFree") + kB("Active(file)") + kB("Inactive(file)"),
		kB("Slab")}, f["MemTotal"] > 0
}

// keepFree is what is left alone unless the user says otherwise: a sixteenth, at least half
// a GiB, or a quarter of a small machine.
func keepFree(m Memory) int64 { return max(m.Total/16, min(512<<20, m.Total/4)) }

// resident is the resident memory of this process, in bytes, 0 where it is unknown.
func resident() int64 {
	b, err := procfs.Root("").Read("self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"),
				10, 64)
			return n << 10
		}
	}
	return 0
}

func readSockstat() (s result.Sockstat, ok bool) {
	figures := map[string]*int64{
		"TCP.inuse":  &s.Inuse,
		"TCP6.inuse": &s.Inuse,
		"TCP.tw":     &s.TimeWait,
		"TCP.orphan": &s.Orphans,
		"TCP.alloc":  &s.Alloc,
		"TCP.mem":    &s.Pages,
	}
	for _, name := range []string{"net/sockstat", "net/sockstat6"} {
		b, err := procfs.Root("").Read(name)
		if err != nil {
			if name == "net/sockstat6" {
				break // a kernel without IPv6
			}
			return s, false
		}
		err = procfs.ParseSockstat(b, func(proto, name, value string) {
			if to := figures[proto+"."+name]; to != nil {
				n, _ := strconv.ParseInt(value, 10, 64)
				*to += n
			}
		})
		if err != nil {
			return s, false
		}
	}
	return s, true
}

// counters are those of /proc/net/netstat and snmp in this network namespace.
func counters() map[string]int64 {
	all := map[string]int64{}
	for _, name := range []string{"net/netstat", "net/snmp"} {
		b, err := procfs.Root("").Read(name)
		if err != nil {
			continue
		}
		// what is well formed is delivered
		_ = procfs.ParseCounters(b, func(proto, name, value string) {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				all[proto+"."+name] = n
			}
		})
	}
	return all
}
