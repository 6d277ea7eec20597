package prove

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// carriedKeys are the settings of a namespace that decide how many connections there can
// be. The port range is replaced by one with as many usable ports.
func carriedKeys() []string {
	return []string{
		"net.core.somaxconn", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_syn_backlog",
		"net.ipv4.tcp_max_tw_buckets",
		"net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_timestamps",
		"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse_delay", "net.ipv4.tcp_wmem",
	}
}

// portKeys act through the number of usable ports.
func portKeys() []string {
	return []string{portRange, "net.ipv4.ip_local_reserved_ports",
		"net.ipv4.ip_unprivileged_port_start"}
}

// differing sorts the plan's changes by whether a lab can have them.
func (c *comparing) differing() (carried, not []Differing) {
	for _, change := range c.o.Changes {
		f := change.Fact
		d := Differing{Setting: f.Name, Before: c.before.state.Read().Optional(f),
			After: change.Want}
		name, field, _ := strings.Cut(f.Name, "#")
		switch {
		case f.Kind == host.SysctlKind && (slices.Contains(carriedKeys(), f.Name) ||
			slices.Contains(portKeys(), f.Name)):
			carried = append(carried, d)
		case f.Kind == host.ProcessKind && field == "soft",
			f.Kind == host.ListenerKind && field == "limit":
			row, _ := c.before.state.Read().Row(f.Kind, name)
			d.Setting, d.Before =
				map[string]string{"soft": "descriptor limit of process " + name,
					"limit": "accept queue of " + name}[field], row.Text(field)
			carried = append(carried, d)
		default:
			d.Why = "no network namespace has it for itself"
			not = append(not, d)
		}
	}
	return carried, not
}

// world has the settings of a scene, with its usable ports made fewer by the scale. Its
// server is on an address that tcp_tw_reuse=2 takes for loopback only where the goal's is
// one.
func (s scene) world(b *Bench, d Compared) ends {
	addr := ordinary
	if address, _, _ := cutPort(d.Subject); d.Direction == "outbound" {
		if a, err := netip.ParseAddr(address); err == nil && a.IsLoopback() {
			addr = loopback
		}
	}
	e := b.between(addr)
	for _, key := range carriedKeys() {
		value := s.state.Read().Optional(host.Sysctl(key))
		if value == "" || key == "net.core.somaxconn" && d.Direction == "outbound" {
			continue
		}
		if err := e.Set(key, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			b.Must(err)
		}
	}
	const low = 20000
	if d.Direction == "outbound" {
		e.Sysctl(portRange, fmt.Sprintf("%d %d", low, low+max(1, s.ports/d.Scale)-1))
	} else {
		e.Sysctl(portRange, fmt.Sprintf("%d %d", low, 60999))
	}
	return e
}

// outboundHeld opens as many connections as are wanted and keeps them.
func (c *comparing) outboundHeld(d Compared, s scene) Driven {
	e := s.world(c.b, d)
	c.b.Must(e.server.Serve(e.listener, lab.Hold))
	files := c.files(s, s.connecting(d.Subject))
	e.bound(e.client, files, d.Scale)
	got := must(e.client.Connect(lab.ConnectSpec{To: e.to, N: scaled(d), Within: time.Minute}))
	return resultOf(d, float64(got.Count), got.Errors, capped(d, min(s.ports, files)), 0.02)
}

// connecting is the process that has connections to a destination, 0 where none is known.
func (s scene) connecting(destination string) int64 {
	for _, row := range s.state.Read().Rows(host.OutboundKind) {
		if _, to, _ := strings.Cut(row.Name(), "->"); to == destination {
			return row.Count("pid")
		}
	}
	return 0
}

// bound lets an actor hold that many connections, as a process's descriptor limit does, as
// many times fewer as all else is smaller. More than labs of this size use is no bound.
func (e ends) bound(a *lab.Actor, connections, scale int64) {
	if connections/scale >= 8192 {
		return
	}
	open := must(os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.PID())))
	e.b.Must(a.Limit(uint64(connections/scale) + uint64(len(open))))
}

// outboundRate opens and closes, the client first, as many connections a second as are
// wanted, for one and a half times TIME_WAIT, and counts those of the last period: in it
// each port comes back once.
func (c *comparing) outboundRate(d Compared, s scene) Driven {
	e := s.world(c.b, d)
	c.b.Must(e.server.Serve(e.listener, lab.CloseSecond))
	ceiling := c.rateCeiling(e, s, d.Scale)
	// TIME_WAIT and what the kernel's timer adds to it
	length, window := 93*time.Second, 61440*time.Millisecond
	if ceiling > 0 && s.ports/ceiling < 10 {
		// ports are used again after a second
		length, window = 15*time.Second, 10*time.Second
	}
	got := must(e.client.Churn(lab.ChurnSpec{To: e.to,
		PerSecond: float64(d.Wanted) / float64(d.Scale), For: length}))
	made := 0
	for _, ms := range got.At {
		if ms >= (length - window).Milliseconds() {
			made++
		}
	}
	return resultOf(d, float64(made)/window.Seconds(), got.Errors, capped(d, ceiling), 0.04)
}

// rateCeiling is the model's: from the scene, or on loopback, where tcp_tw_reuse=2 acts,
// from the lab with a connection in it.
func (c *comparing) rateCeiling(e ends, s scene, scale int64) int64 {
	if !e.to.Addr().IsLoopback() {
		return World{b: c.b}.GaugeAt(s.state, "time-wait", limit.AnyPeer).Ceiling
	}
	one := connect(e.client, e.to, 1)
	ceiling := scale * e.Gauge("time-wait", " -> "+e.to.String()).Ceiling
	// the server serves one after the other
	must(e.client.Close(one.Group, lab.CloseSpec{Reset: true}))
	return ceiling
}

// listening opens a listener like that of the goal.
func (c *comparing) listening(d Compared, s scene) (e ends, row host.Row) {
	row, ok := s.listenerOf(d.Subject)
	if !ok {
		c.b.CannotRun("nothing listens on " + d.Subject +
			" on this host: its queue and its process are not known")
	}
	return s.world(c.b, d), row
}

// inboundBurst starts handshakes while the server accepts none.
func (c *comparing) inboundBurst(d Compared, s scene) Driven {
	e, row := c.listening(d, s)
	length := row.Count("limit")
	// the listener's own limit is what somaxconn made of it
	e.Sysctl("net.core.somaxconn", strconv.FormatInt(max(length, 1), 10))
	g, at, err := e.server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(ordinary, 8081),
		Backlog: int(max((length+1)/d.Scale-1, 0))})
	c.b.Must(err)
	knock(e.client, at, scaled(d))
	c.b.Await(3*time.Second, func() bool { return must(e.server.Queue(g)).Used >= scaled(d) })
	dropped := map[string]int{}
	if n := e.Counter("TcpExt.ListenOverflows"); n > 0 {
		dropped["TcpExt.ListenOverflows"] = int(n)
	}
	return resultOf(d, float64(must(e.server.Queue(g)).Used), dropped, capped(d, length+1),
		0.02)
}

// inboundHeld has a server with the descriptor limit of the goal's process accept and keep.
func (c *comparing) inboundHeld(d Compared, s scene) Driven {
	e, row := c.listening(d, s)
	files := c.files(s, row.Count("pid"))
	e.bound(e.server, files, d.Scale)
	var accepted lab.Opened
	c.b.Together(
		func() {
			accepted = must(e.server.Accept(lab.AcceptSpec{Listener: e.listener,
				N: scaled(d), Within: 20 * time.Second}))
		},
		func() { knock(e.client, e.to, scaled(d)) },
	)
	return resultOf(d, float64(accepted.Count), accepted.Errors, capped(d, files), 0.02)
}

// inboundRate has a server that closes first take as many connections a second as are wanted.
func (c *comparing) inboundRate(d Compared, s scene) Driven {
	e, _ := c.listening(d, s)
	c.b.Must(e.server.Serve(e.listener, lab.CloseFirst))
	const length = 5 * time.Second
	got := must(e.client.Churn(lab.ChurnSpec{
		To:        e.to,
		PerSecond: float64(d.Wanted) / float64(d.Scale),
		For:       length,
		Second:    true,
	}))
	return resultOf(d, float64(len(got.At))/length.Seconds(), got.Errors, nil, 0.02)
}
