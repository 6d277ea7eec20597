package prove

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// Bench is where one trial works: its labs, and the model that predicts. Its
// methods end the trial when the lab fails (not when the kernel refuses: that is
// a result). It is for one trial on one goroutine, but for Together.
type Bench struct {
	ctx     context.Context
	model   Model
	mu      sync.Mutex
	closers []func() error
	settled func() // nil outside of a run
}

// Settled says that the trial only waits from now on: others may have its share of the CPU.
func (b *Bench) Settled() {
	if b.settled != nil {
		b.settled()
	}
}

// settledAfter is a function whose n-th call is Settled.
func (b *Bench) settledAfter(n int64) func() {
	var calls atomic.Int64
	return func() {
		if calls.Add(1) == n {
			b.Settled()
		}
	}
}

// Model gives the limit of an ID: limit.Find, or in tests a broken one.
type Model func(id limit.ID) *limit.Limit

// World is a lab and what happens in it. Host is the machine itself in a trial that
// needs one.
type World struct {
	*lab.Lab
	b *Bench
}

// abort carries an error out of a trial to run, which recovers it.
type abort struct{ err error }

// Must ends the trial on an error.
func (b *Bench) Must(err error) {
	if err != nil {
		panic(abort{err})
	}
}

// must gives the value, or ends the trial.
func must[T any](v T, err error) T {
	if err != nil {
		panic(abort{err})
	}
	return v
}

// CannotRun ends the trial without a verdict.
func (b *Bench) CannotRun(why string) { panic(abort{&Impossible{why}}) }

// Impossible says why a trial cannot give a verdict here.
type Impossible struct{ Why string }

func (e *Impossible) Error() string { return e.Why }

// World makes a lab that ends with the trial. Settings are "key=value".
func (b *Bench) World(settings ...string) World {
	w := World{must(lab.Start(b.ctx)), b}
	b.later(w.Close)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		w.Sysctl(key, value)
	}
	return w
}

// later runs when the trial has ended, last first.
func (b *Bench) later(f func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

func (b *Bench) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for i := len(b.closers) - 1; i >= 0; i-- {
		errs = append(errs, b.closers[i]())
	}
	b.closers = nil
	return errors.Join(errs...)
}

// Together runs functions side by side and waits for all; the first of them that ends the
// trial ends it when all are done.
func (b *Bench) Together(fs ...func()) {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = caught(f) })
	}
	wg.Wait()
	for _, err := range errs {
		b.Must(err)
	}
}

// caught gives the error with which f ended the trial.
func caught(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case abort:
			err = v.err
		default:
			panic(v)
		}
	}()
	f()
	return nil
}

// Await polls until done or the time is over, and says which. For states that the
// kernel announces to nobody; the step is a hundredth of the time, 1 to 50 ms.
func (b *Bench) Await(within time.Duration, done func() bool) bool {
	return b.often(min(max(within/100, time.Millisecond), 50*time.Millisecond), within, done)
}

// often is Await with a step of its own.
func (b *Bench) often(step, within time.Duration, done func() bool) bool {
	end := time.NewTimer(within)
	defer end.Stop()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			return done()
		case <-b.ctx.Done():
			b.Must(b.ctx.Err())
		}
	}
	return true
}

// Pause waits for a time that is part of the experiment (a TIME_WAIT, a rate), never for an event.
func (b *Bench) Pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.ctx.Done():
		b.Must(b.ctx.Err())
	}
}

// Sysctl writes a setting; a kernel without it means that the trial cannot run.
func (w World) Sysctl(key, value string) {
	if _, err := w.Value(key); err != nil {
		w.b.CannotRun(fmt.Sprintf("%s cannot be read in a network namespace here: %v", key,
			err))
	}
	w.b.Must(w.Set(key, value))
}

// Actor starts a process in the world.
func (w World) Actor(name string) *lab.Actor { return must(w.Spawn(name)) }

// Snapshot observes the world as check does.
func (w World) Snapshot() host.Snapshot { return must(w.Observe()) }

// Gauge has the model evaluate a limit on the world as it is, and picks the gauge
// whose subject contains the text.
func (w World) Gauge(id limit.ID, subject string) limit.Gauge {
	return w.GaugeOf(w.Snapshot(), id, subject)
}

// GaugeOf is Gauge on a snapshot.
func (w World) GaugeOf(s host.Snapshot, id limit.ID, subject string) limit.Gauge {
	return w.gauge(s, id, subject, func(g limit.Subject) bool {
		return strings.Contains(g.Name, subject)
	})
}

// GaugeAt is the gauge of a snapshot whose subject is of a kind that has no name.
func (w World) GaugeAt(s host.Snapshot, id limit.ID, kind limit.Scope) limit.Gauge {
	return w.gauge(s, id, string(kind), func(g limit.Subject) bool { return g.Kind == kind })
}

func (w World) gauge(s host.Snapshot, id limit.ID, words string,
	is func(limit.Subject) bool) limit.Gauge {
	gauges, r := w.b.model(id).Evaluate(s, limit.Workload{})
	w.b.Must(r.Err())
	for _, g := range gauges {
		if is(g.Subject) {
			return g
		}
	}
	panic(abort{fmt.Errorf("%s gives no gauge for %q, but %s", id, words, names(gauges))})
}

func names(gauges []limit.Gauge) string {
	var all []string
	for _, g := range gauges {
		all = append(all, fmt.Sprintf("%q", g.Subject.Name))
	}
	return "[" + strings.Join(all, " ") + "]"
}

// Counter reads a counter of the world's namespace, such as TcpExt.ListenDrops; a kernel
// without it cannot run the trial.
func (w World) Counter(name string) int64 {
	for _, file := range []string{"netstat", "snmp"} {
		text := must(os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", w.PID(), file)))
		value := ""
		procfs.ParseCounters(text, func(proto, counter, v string) {
			if proto+"."+counter == name {
				value = v
			}
		})
		if value != "" {
			return must(strconv.ParseInt(value, 10, 64))
		}
	}
	w.b.CannotRun("this kernel has no counter " + name)
	return 0
}

// Formula is the arithmetic of a gauge in one line: its last step.
func Formula(g limit.Gauge) string {
	for i := len(g.Steps) - 1; i >= 0; i-- {
		if s := g.Steps[i]; s.Sum != "" {
			return fmt.Sprintf("%s: %s = %d %s", s.Label, s.Sum, s.Value, s.Unit)
		}
	}
	if g.Limit != nil {
		return g.Limit.Formula
	}
	return ""
}

// Beside makes another world, which a cable can join to this one; it ends with it.
func (w World) Beside() World { return World{must(w.Lab.Beside(w.b.ctx)), w.b} }

// Machine is the machine itself: for claims that no namespace can show. Settings are put
// back when the trial ends.
func (b *Bench) Machine(settings ...string) World {
	w := World{must(lab.Here(b.ctx)), b}
	b.later(w.Close)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		w.SetUntilDone(key, value)
	}
	return w
}

// SetUntilDone writes a setting of the machine until the trial ends.
func (w World) SetUntilDone(key, value string) {
	before := must(w.Value(key))
	w.b.later(func() error { return w.Set(key, strings.Join(strings.Fields(before), " ")) })
	w.b.Must(w.Set(key, value))
}

// joined are two worlds with a cable between them: here is 10.77.0.1 on "cable", there has
// 10.77.0.2 and as many further addresses.
func (b *Bench) joined(addresses, txQueueLen int) (here, there World) {
	here = b.World()
	there = here.Beside()
	c := lab.Cable{
		Here: lab.Plug{Device: "cable", Addresses: []netip.Prefix{cablePrefix(1)},
			TxQueueLen: txQueueLen},
		There: lab.Plug{Device: "cable"},
	}
	for i := range addresses {
		c.There.Addresses = append(c.There.Addresses, cablePrefix(2+i))
	}
	b.Must(here.Wire(there.Lab, c))
	return here, there
}

// cablePrefix numbers the addresses of the network between joined worlds.
func cablePrefix(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)}), 16)
}

// halfOpen counts the handshakes that wait for their last ACK at a port: SYN_RECV in /proc/net/tcp.
func (w World) halfOpen(port uint16) (n int64) {
	text := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", w.PID()))))
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "03" &&
			strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			n++
		}
	}
	return n
}

// stepOf gives the value of a step of a gauge.
func stepOf(g limit.Gauge, id limit.StepID) int64 {
	for _, s := range g.Steps {
		if s.ID == id {
			return s.Value
		}
	}
	panic(abort{fmt.Errorf("%s of %s has no step %s", g.Limit.ID, g.Subject.Name, id)})
}

// since evaluates a limit on the window between a snapshot and now: half-open connections
// come and go, what moved stays.
func (w World) since(before host.Snapshot, id limit.ID, subject string) limit.Gauge {
	return w.GaugeOf(host.Window(before, w.Snapshot(), time.Second), id, subject)
}
