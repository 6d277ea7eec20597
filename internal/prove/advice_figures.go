package prove

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

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
