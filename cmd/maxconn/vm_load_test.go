//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/load/result"
)

// A full table of connection tracking, which is one for the host: connections beyond it
// hang without an errno, load counts them and names what stopped it, and with --fit asks
// for no more than there is room for.
func TestVMLoad(t *testing.T) {
	onKernels(t, func(t *testing.T, m *machine) { m.play("tracked load") })
}

func sceneTrackedLoad(g *guest) {
	g.check(unix.DeleteModule("nf_conntrack", unix.O_NONBLOCK))
	g.command(0, "modprobe", "nf_conntrack", "enable_hooks=1")
	g.serve("7000", "1000", "1000")
	// entries of the first load are there during the second
	g.write("nf_conntrack_tcp_timeout_close", "600")

	// From a table without entries nobody can tell whether this namespace tracks its
	// connections.
	if r := g.load(0, "--connections", "10"); r.Established != 10 || g.tracked() < 10 {
		g.errorf("%d established, %d entries", r.Established, g.tracked())
	}
	const room = 100
	g.write("nf_conntrack_max", strconv.Itoa(g.tracked()+room))
	// the tuples of the load before have entries
	r := g.load(0, "--fit", "--source", "127.0.0.2")
	if r.Established != room || !r.GoalMet {
		g.errorf("--fit: %d established, want %d: %q, stopped %q", r.Established, room,
			r.Missed, r.Stopped)
	}
	g.write("nf_conntrack_max", strconv.Itoa(g.tracked()+room))
	r = g.load(1, "--source", "127.0.0.3")
	if r.Established != room || failed(r, result.AtConnect, "ETIMEDOUT") != 3*room-room ||
		r.BoundBy != "conntrack" {
		g.errorf("%d established, want %d; %d hung, want %d; bound by %q: %s",
			r.Established, room, failed(r, result.AtConnect, "ETIMEDOUT"), 2*room,
			r.BoundBy, r.Because)
	}
}

// write sets a value of connection tracking.
func (g *guest) write(name, value string) {
	g.check(os.WriteFile("/proc/sys/net/netfilter/"+name, []byte(value), 0))
}

// tracked is how many entries the table has.
func (g *guest) tracked() int {
	n, err := strconv.Atoi(g.text("/proc/sys/net/netfilter/nf_conntrack_count"))
	g.check(err)
	return n
}

// load asks for 300 connections.
func (g *guest) load(status int, more ...string) (r result.Report) {
	g.check(json.Unmarshal([]byte(g.maxconnOut(status,
		append([]string{"load", "connect", "127.0.0.1:7000", "--connections", "300",
			"--timeout", "3s", "--hold", "10ms", "--json"}, more...)...)), &r))
	return r
}
