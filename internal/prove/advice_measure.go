package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// advised tries one step on top of those before it.
func (b *Bench) advised(steps []recipeStep, i int) Advised {
	s := steps[i]
	a := Advised{
		Step:    s.name,
		Recipe:  s.lines,
		Promise: s.promise,
		Model:   s.model,
		Scaling: adviceScaling,
	}
	err := caught(func() {
		full := settings(steps, i)
		w := b.adviceWorld(full)
		if s.gone != "" && errors.Is(w.Set(s.gone, "1"), fs.ErrNotExist) {
			a.Verdict, a.Why = Gone,
				"writing "+s.gone+" fails: this kernel has no such setting"
		}
		if s.txQueueLen > 0 {
			b.Must(w.TxQueueLen("lo", s.txQueueLen))
		}
		drops := softnet(procfs.SoftnetDropped)
		a.Predicted = w.predicted(full)
		a.Measured = w.measured(a.Predicted, scaleOf(full))
		if s.inputQueue {
			n := float64(softnet(procfs.SoftnetDropped) - drops)
			a.Figures = []Figure{{
				What: "packets that full input queues of the whole host " +
					"dropped meanwhile",
				Unit:     "packets",
				Measured: n,
				Without:  n,
				Less:     true,
				Aside:    true,
			}}
		}
		if s.figures != nil {
			a.Figures = s.figures(b)
		}
	})
	if err != nil {
		a.Verdict, a.Why = Untried, err.Error()
	}
	return a
}

// adviceWorld has the settings of a step, with a part of the ports.
func (b *Bench) adviceWorld(full map[string]string) ends {
	e := b.between(ordinary)
	for key, value := range full {
		if key == portRange {
			value = scaledRange(value, scaleOf(full))
		}
		e.Sysctl(key, value)
	}
	return e
}

const portRange = "net.ipv4.ip_local_port_range"

// scaledRange keeps the low end and a part of the ports, rounded.
func scaledRange(full string, scale int) string {
	var low, high int
	if _, err := fmt.Sscan(full, &low, &high); err != nil {
		panic(abort{fmt.Errorf("port range %q: %w", full, err)})
	}
	return fmt.Sprintf("%d %d", low, low+(high-low+1+scale/2)/scale-1)
}

// predicted is what the catalogue says of this world with the full port range.
func (e ends) predicted(full map[string]string) Flow {
	s := e.Snapshot().With(host.Setting{Fact: host.Sysctl(portRange), Want: full[portRange]})
	return Flow{
		PerSecond: float64(e.GaugeAt(s, "time-wait", limit.AnyPeer).Ceiling),
		Held:      e.GaugeAt(s, "ephemeral-ports", limit.AnyPeer).Ceiling,
		BoundBy:   proof.ByPorts,
	}
}

// measured drives the world until connect() is refused, and further: what is held, and how
// fast ports come back.
func (e ends) measured(expected Flow, scale int) Flow {
	ports := int(expected.Held) / scale
	keeper, holder := e.Actor("keeper"), e.Actor("holder")
	idle, target, err := keeper.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(ordinary, 8081),
		Backlog: 4096})
	e.b.Must(err)
	e.b.Must(keeper.Serve(idle, lab.Hold))
	held := must(holder.Connect(lab.ConnectSpec{To: target, N: 2 * ports}))
	must(holder.Close(held.Group, lab.CloseSpec{Reset: true}))

	e.b.Must(e.server.Serve(e.listener, lab.CloseSecond))
	got := must(e.client.Churn(churnFor(e.to, expected.PerSecond/float64(scale), held.Count)))
	rate := float64(scale) * steady(got.At, held.Count)
	return Flow{
		PerSecond: rate,
		Held:      int64(scale * held.Count),
		BoundBy:   boundBy(expected.PerSecond, rate),
	}
}

// churnFor uses up all ports in a tenth of the time after which they come back by the
// expected rate, and then takes each as soon as it is free, until each was used at least
// twice.
func churnFor(to netip.AddrPort, expected float64, ports int) lab.ChurnSpec {
	period := float64(ports) / max(expected, 0.1) // seconds until a port comes back
	spec := lab.ChurnSpec{
		To:        to,
		Eager:     true,
		PerSecond: 10 * expected,
		For:       time.Duration(1.3 * period * float64(time.Second)),
	}
	if period < 10 { // tcp_tw_reuse: ports come back after a second
		spec.PerSecond, spec.For = 1.5*expected, 12*time.Second
	}
	return spec
}
