package prove

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// CompareOptions say what to drive.
type CompareOptions struct {
	Kernel   string
	Workload limit.Workload
	// Today is the host as it was observed, Changes what a plan would change
	// (plan.Plan.Settings).
	Today   host.Snapshot
	Changes []host.Setting
	// Model predicts; nil means the catalogue.
	Model Model
	// Progress, unless nil, is called when a measurement is done; calls do not overlap.
	Progress func(done, all int, what string)
}

// scene is one state of the host: today's, or the plan's.
type scene struct {
	state host.Snapshot
	ports int64 // that connect() may choose
}

func newScene(b *Bench, s host.Snapshot) scene {
	g := World{b: b}.GaugeAt(s, "ephemeral-ports", limit.AnyPeer)
	return scene{s, g.Ceiling}
}

// comparing is the state of one Compare.
type comparing struct {
	b             *Bench
	o             CompareOptions
	before, after scene
	running       *semaphore.Weighted
	done, all     int
}

// Compare drives each demand of the workload twice, side by side; where a rate towards a
// destination is wanted it takes about 100 s, otherwise seconds. The error is that of the
// context, or that labs cannot be made.
func Compare(ctx context.Context, o CompareOptions) (*Comparison, error) {
	if o.Model == nil {
		o.Model = limit.Find
	}
	start := time.Now()
	c := &comparing{b: &Bench{ctx: ctx, model: o.Model}, o: o,
		running: semaphore.NewWeighted(16)}
	out := &Comparison{Schema: Schema, Kernel: o.Kernel}
	err := caught(func() {
		c.before, c.after = newScene(c.b, o.Today),
			newScene(c.b, o.Today.With(o.Changes...))
		out.Carried, out.NotCarried = c.differing()
		out.Comparison = c.drive(demands(o.Workload.Merged()))
	})
	out.Seconds = time.Since(start).Seconds()
	return out, errors.Join(err, c.b.close())
}

// demands are the measures of the goals that ask for something.
func demands(w limit.Workload) (out []Compared) {
	for _, side := range []struct {
		direction string
		goals     []limit.Goal
	}{{"outbound", w.Outbound}, {"inbound", w.Inbound}} {
		for _, g := range side.goals {
			for _, m := range []limit.Measure{limit.Held, limit.PerSecond,
				limit.Burst} {
				if want := g.Want(m); want > 0 &&
					!(side.direction == "outbound" && m == limit.Burst) {
					out = append(out, Compared{Subject: g.Subject,
						Direction: side.direction, Measure: m,
						Wanted: want})
				}
			}
		}
	}
	return out
}

// drive measures all demands, before and after.
func (c *comparing) drive(all []Compared) []Compared {
	c.all = 2 * len(all)
	var fs []func()
	for i := range all {
		d := &all[i]
		d.Scale = c.scaleOf(*d)
		d.Scaling = "in full size"
		if d.Scale > 1 {
			d.Scaling = fmt.Sprintf(
				"demand, ports, queues and descriptor limits were %d times "+
					"smaller and the result was multiplied; times were "+
					"not scaled", d.Scale)
		}
		demand := *d
		fs = append(fs, func() { d.Before = c.one(demand, c.before) },
			func() { d.After = c.one(demand, c.after) })
	}
	c.b.Together(fs...)
	return all
}

// one drives one demand in one scene.
func (c *comparing) one(d Compared, s scene) (out Driven) {
	c.b.Must(c.running.Acquire(c.b.ctx, 1))
	defer c.running.Release(1)
	err := caught(func() {
		drive := c.outboundHeld
		switch {
		case d.Direction == "outbound" && d.Measure == limit.PerSecond:
			drive = c.outboundRate
		case d.Direction == "inbound" && d.Measure == limit.Burst:
			drive = c.inboundBurst
		case d.Direction == "inbound" && d.Measure == limit.PerSecond:
			drive = c.inboundRate
		case d.Direction == "inbound":
			drive = c.inboundHeld
		}
		out = drive(d, s)
	})
	if err != nil {
		out.Why = err.Error()
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.done++; c.o.Progress != nil {
		c.o.Progress(c.done, c.all, d.Subject+" "+string(d.Measure))
	}
	return out
}

// scaleOf keeps labs small: some thousand sockets, some hundred connections a second.
func (c *comparing) scaleOf(d Compared) int64 {
	switch {
	case d.Measure == limit.PerSecond && d.Direction == "outbound":
		return max(1, (d.Wanted+199)/200, (max(c.before.ports, c.after.ports)+1999)/2000)
	case d.Measure == limit.PerSecond:
		return max(1, (d.Wanted+199)/200)
	}
	return max(1, (d.Wanted+3999)/4000)
}

// resultOf puts a scaled measurement into full size.
func resultOf(d Compared, measured float64, errs map[string]int, predicted *int64,
	tolerance float64) Driven {
	measured *= float64(d.Scale)
	return Driven{
		Measured:  measured,
		Predicted: predicted,
		Met:       measured >= float64(d.Wanted)*(1-tolerance),
		Errors:    errs,
	}
}

// capped is at most what is wanted.
func capped(d Compared, ceiling int64) *int64 {
	n := min(ceiling, d.Wanted)
	return &n
}

// scaled is a demand in the size of the lab.
func scaled(d Compared) int { return int(max(1, d.Wanted/d.Scale)) }

// listenerOf finds the row of a goal's listener: by its name, or by its port where the goal
// or the listener names all addresses.
func (s scene) listenerOf(goal string) (host.Row, bool) {
	_, port, _ := cutPort(goal)
	for _, row := range s.state.Read().Rows(host.ListenerKind) {
		address, p, ok := cutPort(row.Name())
		if row.Name() == goal || ok && p == port &&
			(strings.HasPrefix(goal, ":") || anyAddress(address)) {
			return row, true
		}
	}
	return host.Row{}, false
}

func cutPort(name string) (address, port string, ok bool) {
	i := strings.LastIndex(name, ":")
	if i < 0 {
		return name, "", false
	}
	return strings.Trim(name[:i], "[]"), name[i+1:], true
}

func anyAddress(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.IsUnspecified()
}

// files is how many connections the descriptor limit of a process allows; no bound where
// the process is not known.
func (c *comparing) files(s scene, pid int64) int64 {
	gauges, r := c.b.model("process-files").Evaluate(s.state, limit.Workload{})
	c.b.Must(r.Err())
	for _, g := range gauges {
		if g.Subject.PID == pid && pid != 0 && !g.Unbounded {
			return g.Ceiling
		}
	}
	return math.MaxInt64
}
