package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
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

// burst is how many connections at once a listener takes whose application is busy: with
// the kernel's somaxconn and one backlog, and with the recipe's and perhaps another.
func burst(b *Bench, before, after int) Figure {
	without, _ := queued(b, before)
	with, predicted := queued(b, after, "net.core.somaxconn=1024")
	what := fmt.Sprintf(
		"connections that wait for accept(), the application asking for a backlog of %d",
		after)
	if before != after {
		what += fmt.Sprintf(" (%d without)", before)
	}
	return comparedTo(what, "connections", float64(predicted), float64(without), float64(with))
}

// queued is what an accept queue takes, and what the model says.
func queued(b *Bench, backlog int, settings ...string) (used, predicted int64) {
	w := b.World(settings...)
	server, client := w.Actor("server"), w.Actor("client")
	g, at, err := server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(loopback, 8080),
		Backlog: backlog})
	b.Must(err)
	predicted = w.Gauge("accept-queue", at.String()).Ceiling
	knock(client, at, int(predicted)+100)
	if !b.Await(settling, func() bool { return w.Counter("TcpExt.ListenOverflows") > 0 }) {
		b.NotQuiet("the accept queue was not full within %v", settling)
	}
	return int64(must(server.Queue(g)).Used), predicted
}

// halfOpen is how many handshakes that nobody finishes a listener keeps, with a small
// tcp_max_syn_backlog and with the recipe's. SYN cookies are on, as by default.
func halfOpen(b *Bench) Figure {
	const sent = 300
	count := func(backlog string) int64 {
		return b.flood(4096, sent, "net.ipv4.tcp_syncookies=1",
			"net.ipv4.tcp_max_syn_backlog="+backlog).half
	}
	return comparedTo("half-open connections of 300 (tcp_max_syn_backlog = 16 without)",
		"connections", sent, float64(count("16")), float64(count("2048")))
}

// descriptors is how many connections a process holds with a soft limit of 256 and with one
// that does not bind.
func descriptors(b *Bench) Figure {
	const ports = 719
	count := func(soft uint64) int {
		e := b.between(ordinary, fmt.Sprintf("%s=15000 %d", portRange, 15000+ports-1))
		b.Must(e.server.Serve(e.listener, lab.Hold))
		b.Must(e.client.Limit(soft))
		return must(e.client.Connect(lab.ConnectSpec{To: e.to, N: 2 * ports})).Count
	}
	return comparedTo("connections of one process (soft limit 256 without, 4,096 with)",
		"connections", ports, float64(count(256)), float64(count(4096)))
}

// buffering sends a megabyte in messages of 100 bytes, each by itself and gathered in 16 KiB.
func buffering(b *Bench) []Figure {
	const messages, size, buffer = 10_000, 100, 16 << 10
	send := func(buffer int) (got lab.Streamed, segments int64) {
		e := b.between(ordinary)
		b.Must(e.server.Serve(e.listener, lab.CloseSecond))
		before := e.Counter("Tcp.OutSegs")
		got = must(e.client.Stream(lab.StreamSpec{To: e.to, Bytes: size, N: messages,
			Buffer: buffer, Timeout: 30 * time.Second}))
		return got, e.Counter("Tcp.OutSegs") - before
	}
	one, oneSegments := send(0)
	many, manySegments := send(buffer)
	calls := comparedTo("write calls for a megabyte in messages of 100 bytes", "calls",
		math.Ceil(messages*size/float64(buffer/size*size)), float64(one.Calls),
		float64(many.Calls))
	calls.Less = true
	return []Figure{
		calls,
		// up to how far the receiver is behind
		{
			What:     "segments sent, with their acknowledgements",
			Unit:     "segments",
			Without:  float64(oneSegments),
			Measured: float64(manySegments),
			Less:     true,
			Aside:    true,
		},
		{
			What:     "CPU time of the sender",
			Unit:     "ms",
			Without:  one.CPU.Seconds() * 1000,
			Measured: many.CPU.Seconds() * 1000,
			Less:     true,
		},
	}
}

// comparedTo is a figure whose value the model predicts.
func comparedTo(what, unit string, predicted, without, measured float64) Figure {
	return Figure{What: what, Unit: unit, Predicted: &predicted, Without: without,
		Measured: measured}
}
