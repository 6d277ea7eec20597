//go:build linux

package load

import (
	"slices"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// The last handshake ends the time that a rate is over, not the look at the events that follows it.
func TestRateEndsWithTheLastHandshake(t *testing.T) {
	c, _ := waiting(t)
	c.run.opening.Add(1)
	c.opening = true
	c.clock = int64(time.Second)
	c.opened1(0)
	c.clock += sweepEvery
	c.openedAll()
	if have := c.done.last.Load(); have != int64(time.Second) {
		t.Errorf("the last one was after %v", time.Duration(have))
	}
}

// Where other programs gave back more memory than the run took, nothing was measured, which
// is not zero.
func TestMemoryThatShrankIsUnknown(t *testing.T) {
	a := &account{run: &run{}, known: true, openAtPeak: 10_000, used: 30 << 20,
		resident: 10 << 20}
	a.memory, a.loaded = Memory{Free: 1 << 30, Slab: 1 << 20},
		Memory{Free: 2 << 30, Slab: 1<<20 + 40_000_000}
	if b := a.bytesPer(); b.Kernel != nil || b.Slab == nil || *b.Slab != 4000 ||
		b.User == nil || *b.User != 2097 {
		t.Errorf("%+v", b)
	}
	a.loaded.Free = 1<<30 - 20<<20 - 80_000_000
	if b := a.bytesPer(); b.Kernel == nil || *b.Kernel != 8000 {
		t.Errorf("%+v", b)
	}
	a.remote.started = 2 // their own memory would be taken for the kernel's
	if b := a.bytesPer(); b.Kernel != nil || b.User != nil || b.Slab == nil {
		t.Errorf("processes: %+v", b)
	}
}

// Whatever a goal missed is said.
func TestJudge(t *testing.T) {
	failure := []result.Failure{{Phase: result.AtConnect, Errno: "ECONNREFUSED", Count: 1200}}
	for _, c := range []struct {
		r    result.Report
		want []string
	}{
		{result.Report{Mode: result.Hold, Wanted: 5, Established: 5}, nil},
		{result.Report{Mode: result.Hold, Wanted: 50_000, Established: 7},
			[]string{"7 of 50,000 connections were established"}},
		{result.Report{Mode: result.Hold, Wanted: 5, Established: 5, Stopped: "memory"},
			nil},
		{result.Report{
			Mode:        result.Hold,
			Wanted:      5,
			Established: 5,
			Lost:        2,
			Failures:    []result.Failure{{Phase: result.AtHeld, Count: 2}},
		}, []string{"2 connections were lost while they were held"}},
		{result.Report{Mode: result.Churn, Established: 5, Failures: failure},
			[]string{"failures: 1,200"}},
		{result.Report{Mode: result.Churn, Established: 5, WantedRate: 5000, Rate: 4000.9},
			[]string{"4,000 of 5,000 connections/s"}},
		{result.Report{Mode: result.Churn, Established: 5, Stopped: "memory"},
			[]string{"it ended early for lack of memory"}},
		{result.Report{Mode: result.Churn, Established: 5, Stopped: "interrupted"},
			[]string{"interrupted"}},
		{result.Report{Role: "serve", Stopped: "interrupted"}, nil},
	} {
		r := c.r
		judge(&r)
		if !slices.Equal(r.Missed, c.want) || r.GoalMet != (len(c.want) == 0) {
			t.Errorf("%+v: %q, %v", c.r, r.Missed, r.GoalMet)
		}
	}
}

// Answers are waited for as long as they come, and a stall of this program is no time in
// which none came.
func TestPatience(t *testing.T) {
	p := patience{most: int64(time.Second)}
	now := int64(0)
	looks := func(each time.Duration, answered int64) (n int) {
		for p.lasts(now, answered) && n < 1000 {
			now += int64(each)
			n++
		}
		return n
	}
	if n := looks(100*time.Millisecond, 7); n != 10 {
		t.Errorf("%d looks without an answer", n)
	}
	p.waited = 0
	if !p.lasts(now+int64(time.Hour), 7) {
		t.Error("a stall of an hour was believed")
	}
	now += int64(time.Hour)
	p.waited = p.most - 1
	if !p.lasts(now+1, 8) || p.waited != 0 {
		t.Errorf("an answer came: %+v", p)
	}
}

// Who opens at a rate that is out of reach waits for most of the run, and that is measured
// however long it is.
func TestLongWaits(t *testing.T) {
	l := newLatency()
	for range 100 {
		l.record(int64(10 * time.Hour))
	}
	if s := l.summed(); s.P50 < 0.98*10*3600e6 || s.P50 > 1.02*10*3600e6 || s.Max < s.P50 ||
		l.over != 0 {
		t.Errorf("%+v, %d over", s, l.over)
	}
}

// A server that was to close first and does not is late with that, not with a byte.
func TestServerThatDoesNotClose(t *testing.T) {
	c, _ := waiting(t)
	c.slots[0].stage = goodbye
	c.listened = int64(time.Minute)
	c.sweep()
	if have := c.failures.list(); len(have) != 1 || have[0].Phase != result.AtClose ||
		have[0].Errno != "ETIMEDOUT" {
		t.Errorf("%+v", have)
	}
}

// Answers that never came are counted while their connections are open.
func TestUnansweredAreOpen(t *testing.T) {
	c, _ := waiting(t)
	c.spec.Mode, c.spec.Send = result.Talk, []byte("ping")
	s := c.slots[0]
	c.keep(&s, 0)
	c.talkers.Add(1)
	c.startTalking()
	c.talking.ask(c, -1)
	c.closeAll()
	if have := c.failures.list(); len(have) != 1 || have[0].Phase != result.AtAnswer ||
		have[0].Open != 1 {
		t.Errorf("%+v", have)
	}
}

// Worker processes begin at different times; their clocks are put beside each other.
func TestProcessesShareAClock(t *testing.T) {
	r, err := newRun("connect", Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.begin()
	if d := fastsock.Uptime() - r.began; d < 0 {
		t.Errorf("time goes back by %d", -d)
	}
	m, second := &r.remote, int64(time.Second)
	m.started = 2
	failed := []result.Failure{{Phase: result.AtConnect, Errno: "ECONNREFUSED", Count: 1,
		First: 0.25}}
	m.take(r, &workerResult{
		Report: &result.Report{Established: 10, Seconds: 1, Failures: failed},
		Began:  r.began + second,
		Grown:  1000,
	}, r.count())
	m.take(r, &workerResult{
		Report: &result.Report{Established: 10, Seconds: 1},
		Began:  r.began + 2*second,
		Grown:  3000,
	}, r.count())
	report := &result.Report{Established: r.allEstablished(), PeakOpen: 4000}
	m.addTo(report)
	if report.Seconds != 2 || report.Rate != 10 || report.Bytes.User == nil ||
		*report.Bytes.User != 1 {
		t.Errorf("%+v", report)
	}
	if have := r.failures.list(); len(have) != 1 || have[0].First != 1.25 {
		t.Errorf("%+v", have)
	}
}

// A descriptor that is not to be had means the same wherever it was wanted.
func TestFilesBindProcesses(t *testing.T) {
	r := &result.Report{Failures: []result.Failure{{Phase: result.AtWorker, Errno: "EMFILE",
		Count: 3}}}
	(&account{run: &run{}}).bound(r)
	if r.BoundBy != "process-files" {
		t.Errorf("bound by %q", r.BoundBy)
	}
}
