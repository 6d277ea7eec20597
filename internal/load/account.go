//go:build linux

package load

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// account is what is read of the host before, during and after a run.
type account struct {
	*run
	counters       map[string]int64
	before, peak   *result.Sockstat
	memory, loaded Memory
	known          bool // both memories were read
	resident, used int64
	cpu, cpuAtPeak time.Duration
	openAtPeak     int64
	held           int64
	verdict        *verdict
	kills          int64 // of the cgroup, before the run
	idle           busy  // of the CPUs, before the run
}

func newAccount(ctx context.Context, r *run) *account {
	a := &account{run: r, counters: counters(), before: sockstat(), resident: resident()}
	if r.spec.Diagnose || r.serve.Diagnose {
		a.verdict = newVerdict(ctx)
	}
	a.memory, a.known = readMemory()
	if r, ok := GroupRoom(); ok {
		a.kills = r.Kills
	}
	a.idle = readBusy()
	a.cpu = fastsock.CPUTime() // after the look at the host, which is no connection's
	return a
}

func sockstat() *result.Sockstat {
	if s, ok := readSockstat(); ok {
		return &s
	}
	return nil
}

// atPeak is called when all connections are open.
func (a *account) atPeak(ctx context.Context) {
	var ok bool
	a.loaded, ok = readMemory()
	a.known = a.known && ok
	a.used, a.openAtPeak, a.peak = resident(), a.allOpen(), sockstat()
	a.cpuAtPeak = fastsock.CPUTime()
	if a.failures.total() > 0 || len(a.steps.list()) > 0 {
		a.verdict.look(ctx)
	}
}

// highest takes the figures of a server where more connections are open than ever, and
// passes the sample on.
func (a *account) highest(s result.Sample, progress func(result.Sample)) {
	if s.Open > a.openAtPeak {
		var ok bool
		if a.loaded, ok = readMemory(); ok {
			a.used, a.openAtPeak, a.peak = resident(), a.allOpen(), sockstat()
		}
	}
	if progress != nil {
		progress(s)
	}
}

// atEnd is called before what is held is closed.
func (a *account) atEnd() { a.held = a.allOpen() }

// fewest is the number of connections below which memory for one is not told: other
// programs and the kernel's reserves move as much.
const fewest = 2000

// grown is growth for each of n, nil where it is below zero: others gave back more than the
// run took, and nothing was measured.
func grown(bytes, n int64) *int64 {
	if bytes < 0 {
		return nil
	}
	per := bytes / n
	return &per
}

func (a *account) bytesPer() result.BytesPer {
	b := result.BytesPer{UserTotal: max(a.used, resident())}
	n := a.openAtPeak
	if n < fewest || !a.known {
		return b
	}
	user := max(a.used-a.resident, 0)
	if a.remote.started > 0 {
		// The processes' own memory is gone from the host's, too, and is not known
		// for this moment.
		b.Slab = grown(a.loaded.Slab-a.memory.Slab, n)
		return b
	}
	b.User = grown(user, n)
	b.Kernel = grown(a.memory.Free-a.loaded.Free-user, n)
	b.Slab = grown(a.loaded.Slab-a.memory.Slab, n)
	return b
}

// report puts everything together after the workers have ended.
func (a *account) report(series []result.Sample, highest int64) *measured {
	s := a.spec
	r := &measured{Report: result.Report{
		Schema: result.Schema, Role: a.role, Mode: s.Mode, Target: targetNames(s.Targets),
		Wanted: s.Connections, WantedRate: s.Rate,
		Attempted: a.allAttempted(), Established: a.allEstablished(), Held: a.held,
		Total: float64(a.now()) / 1e9, FileLimit: fileLimit(),
		Answered: a.sum(func(t *tally) *atomic.Int64 {
			return &t.answered
		}), Messages: a.sum(func(t *tally) *atomic.Int64 { return &t.messages }),
		Resent: a.resent.Load(), PortsSkipped: a.sum(func(t *tally) *atomic.Int64 {
			return &t.skipped
		}),
		Failures: a.failures.list(), SYNSteps: a.steps.list(), Connect: a.times.summed(),
		Tables: a.tables,
		Before: a.before, AtPeak: a.peak, Bytes: a.bytesPer(),
		Counters: moved(a.counters, counters()), Series: series,
	}}
	if s.Mode == result.Churn {
		r.Close = s.Close
	}
	if t := a.answers.summed(); t.Seen > 0 {
		r.Answer = &t
	}
	r.Seconds = float64(a.done.last.Load()) / 1e9
	if r.Seconds > 0 {
		r.Rate = float64(r.Established) / r.Seconds
	}
	for _, one := range series {
		r.PeakOpen = max(r.PeakOpen, one.Open)
	}
	for _, f := range r.Failures {
		r.PeakOpen = max(r.PeakOpen, f.Open)
	}
	r.PeakOpen = max(r.PeakOpen, a.openAtPeak, highest)
	if r.Established > 0 {
		if a.cpuAtPeak == 0 {
			a.cpuAtPeak = fastsock.CPUTime() // churn: all of it
		}
		cpu := float64((a.cpuAtPeak - a.cpu).Nanoseconds()) / 1e3 / float64(r.Established)
		r.CPU = &cpu
	}
	r.times, r.cpuSeconds, r.userGrown, r.began = a.times, (a.cpuAtPeak - a.cpu).Seconds(),
		max(a.used-a.resident, 0), a.began
	classify(&r.Report)
	a.remote.addTo(&r.Report)
	if why := a.why.Load(); why != nil {
		r.Stopped = *why
	}
	r.After = sockstat()
	a.bound(&r.Report)
	judge(&r.Report)
	return r
}

// classify sums the failures up.
func classify(r *result.Report) {
	r.Errors = map[string]int64{}
	for _, f := range r.Failures {
		r.Errors[f.Errno] += f.Count
		switch {
		case f.Phase == result.AtHeld:
			r.Lost += f.Count
		case f.Errno == "ETIMEDOUT":
			r.TimedOut += f.Count
		case f.Errno == "ECONNREFUSED":
			r.Refused += f.Count
		case f.Errno == "ECONNRESET":
			r.Reset += f.Count
		}
	}
}

// enoughRate is the share of a wanted rate that counts as reached: the schedule ends in the
// middle of a connection.
const enoughRate = 0.99

// slow says whether the wanted rate was not reached.
func slow(r *result.Report) bool { return r.WantedRate > 0 && r.Rate < enoughRate*r.WantedRate }

// judge says whether the goal was met.
func judge(r *result.Report) {
	miss := func(format string, args ...any) {
		r.Missed = append(r.Missed, fmt.Sprintf(format, args...))
	}
	if r.Role == "serve" {
		r.GoalMet = true // it wants nothing
		return
	}
	if r.Mode != result.Churn && r.Established < r.Wanted {
		miss("%s of %s connections were established", figure.Count(r.Established),
			figure.Count(r.Wanted))
	}
	if r.Mode == result.Churn && r.Wanted > 0 && r.Established < r.Wanted {
		miss("%s of %s connections were made", figure.Count(r.Established),
			figure.Count(r.Wanted))
	}
	if r.Mode == result.Churn && slow(r) {
		miss("%s of %s connections/s", figure.Count(int64(r.Rate)),
			figure.Count(int64(r.WantedRate)))
	}
	if r.Mode == result.Churn && r.Established == 0 {
		miss("no connection was made")
	}
	if r.Lost > 0 {
		miss("%s connections were lost while they were held", figure.Count(r.Lost))
	}
	if n := failed(r); n > 0 && r.Lost < n {
		miss("failures: %s", figure.Count(n-r.Lost))
	}
	if r.Stopped != "" && (r.Stopped != result.StoppedMemory || r.Mode == result.Churn) {
		miss("%s", stopWords(r.Stopped))
	}
	r.GoalMet = len(r.Missed) == 0
}

// stopWords is why a run ended before its time.
func stopWords(why string) string {
	if why == result.StoppedMemory {
		return "it ended early for lack of memory"
	}
	return why
}

func failed(r *result.Report) (n int64) {
	for _, f := range r.Failures {
		n += f.Count
	}
	return n
}

// targetNames is "127.0.0.1:7000" or "127.0.0.1:7000,7001".
func targetNames(targets []netip.AddrPort) string {
	var names []string
	for i, t := range targets {
		if i > 0 && t.Addr() == targets[0].Addr() {
			names = append(names, strconv.Itoa(int(t.Port())))
			continue
		}
		names = append(names, t.String())
	}
	return strings.Join(names, ",")
}
