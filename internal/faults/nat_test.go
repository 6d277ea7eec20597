//go:build linux

package faults

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// Source ports of a host that rewrites addresses, rules of a firewall that count, and queues for
// next hops.
var natFaults = []fault{
	{
		// The source ports of a node's SNAT run out towards one destination.
		name:   "no port is left for MASQUERADE",
		report: "https://github.com/cilium/cilium/issues/23604",
		make: func(w world) scene {
			clients, _ := w.masquerade("40000-40009")
			to := lab.ConnectSpec{To: behindNAT, N: 30, NonBlocking: true}
			_, err := clients.Connect(to)
			w.must(err)
			w.client = clients
			return w.connecting(lab.ConnectSpec{To: behindNAT})
		},
		check: []string{"--for", "3s"}, // the clients send their SYNs again
		want: want{limit: "nat-ports", severity: "critical",
			subject: "10.72.0.254 -> 10.72.0.1:443",
			cause: `^10 of 10 source ports .* in use: ` +
				`SNAT or MASQUERADE finds no free ` +
				`source port`,
			remedies: []string{`topology.*source addresses in the SNAT range`,
				`topology.*wider range of ports in the rule .*40000-40009`,
				`topology.*destinations`},
			never: []string{`nf_conntrack_max`, `random-fully`}},
	},
	{
		name: "a firewall rule allows ten connections",
		make: func(w world) scene {
			w.listen(8080, 128)
			w.nft("table inet f {\n chain in {\n  type filter hook input priority " +
				"0;\n" +
				"  tcp dport 8080 ct state new ct count over 10 counter drop\n " +
				"}\n}\n")
			w.knock(8080, 30)
			return scene{works: w.connects(lab.ConnectSpec{To: at(8080)})}
		},
		check: []string{"--for", "3s"},
		want: want{limit: "connection-rules", severity: "critical",
			subject: "127.0.0.1:8080", process: "server",
			cause: `^the firewall rule inet/f/in#\d+ ` +
				`allows 10 connections at once and ` +
				`drops the packets beyond$`,
			remedies: []string{`topology.*higher number in the rule inet/f/in#\d+`},
			never:    []string{`backlog`, `somaxconn`, `ct state new`}},
	},
	{
		name: "a gateway's hardware address is not known",
		make: func(w world) scene {
			n := w.unanswered()
			n.burst(300)
			waits := func() int { return 0 } // all that came wait, and nobody else does
			return scene{works: n.begins, load: waits}
		},
		want: want{limit: "neighbour-queue", severity: "warning",
			subject: "on peer",
			cause:   `^300 connections under way to or through 10.71.0.\d+, whose`,
			remedies: []string{
				`setting net.ipv4.neigh.peer.unres_qlen_bytes 212992 -> `},
			never: []string{`gc_thresh`, `ip_local_port_range`}},
		byHand: map[string]string{
			"net.ipv4.neigh.peer.unres_qlen_bytes": "it is a setting of one device"},
	},
}

// nft gives the lab rules of a firewall.
func (w world) nft(rules string) {
	w.Helper()
	tool := nstest.Tool(w.T, "nft")
	out, err := w.lab.Run(w.Context(), strings.NewReader(rules), tool, "-f", "-")
	w.must(err)
	if out.Code != 0 {
		w.Skipf("nft: %s", out.Stderr)
	}
}

// The remedies that only people carry out end these faults as well: each is done as they would do
// it, with nft.
func TestRulesAreMended(t *testing.T) {
	notShort(t)
	for name, mend := range map[string]string{
		"no port is left for MASQUERADE": "flush chain ip t p\nadd rule ip t p ip daddr " +
			"10.72.0.1 ip protocol tcp masquerade to :40000-40099\n",
		"a firewall rule allows ten connections": "flush chain inet f in\nadd rule inet " +
			"f in " +
			"tcp dport 8080 ct state new ct count over 100 counter drop\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var f fault
			for _, x := range natFaults {
				if x.name == name {
					f = x
				}
			}
			s := f.make(w)
			if s.works() {
				t.Fatal("there is no fault: it works")
			}
			w.nft(mend)
			if !w.await(s.works) {
				t.Error("the remedy does not end the fault")
			}
			r, _ := w.check("--for", "2s")
			for _, x := range r.Findings {
				if x.Limit == f.want.limit && x.Severity != diagnose.Info {
					t.Errorf("there still is %s %s: %s", x.Severity, x.Subject,
						x.Cause)
				}
			}
		})
	}
}

// unanswered is a client whose neighbours get their addresses late.
type unanswered struct {
	world
	beside *lab.Lab
	hosts  byte // the next one
}

// unanswered wires a lab to this one, in which a server takes all that comes.
func (w world) unanswered() *unanswered {
	w.Helper()
	beside, err := w.lab.Beside(w.Context())
	w.must(err)
	w.must(w.lab.Wire(beside, lab.Cable{
		Here: lab.Plug{Device: "peer",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.71.0.1/24")}},
		There: lab.Plug{Device: "up",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.71.0.2/24")}}}))
	w.must(beside.Set("net.core.somaxconn", "4096"))
	server, err := beside.Spawn("server")
	w.must(err)
	_, _, err = server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort("0.0.0.0:443"),
		Backlog: 4096})
	w.must(err)
	w.set("net.ipv4.neigh.peer.retrans_time_ms", "100")
	w.set("net.ipv4.neigh.peer.mcast_solicit", "3000") // for five minutes
	return &unanswered{world: w, beside: beside, hosts: 9}
}

// burst opens connections to a host that is not there yet, another one each time.
func (n *unanswered) burst(connections int) (lab.Opened, netip.Addr) {
	n.Helper()
	to := netip.AddrFrom4([4]byte{10, 71, 0, n.hosts})
	n.hosts++
	out, err := n.client.Connect(lab.ConnectSpec{To: netip.AddrPortFrom(to, 443),
		N: connections, NonBlocking: true})
	n.must(err)
	return out, to
}

// begins says whether all connections of a burst begin when the host comes, with their first SYN:
// one that was lost is sent again after a second.
func (n *unanswered) begins() bool {
	start := time.Now()
	out, to := n.burst(300)
	n.must(n.beside.AddAddress("up", netip.PrefixFrom(to, 32)))
	begun := 0
	for begun < out.Count && time.Since(start) < 900*time.Millisecond {
		states, err := n.client.States(out.Group)
		n.must(err)
		begun = states["ESTABLISHED"]
	}
	_, err := n.client.Close(out.Group, lab.CloseSpec{Reset: true})
	n.must(err)
	return begun == out.Count
}

// behindNAT is where the server of masquerade listens.
var behindNAT = netip.MustParseAddrPort("10.72.0.1:443")

// masquerade makes the lab a router that rewrites the source of connections from clients to a
// server, each in a lab beside it, with these ports. The server takes what comes.
func (w world) masquerade(ports string) (clients, server *lab.Actor) {
	w.Helper()
	clients = w.neighbour("clients", "10.71.0.1/24", "10.71.0.254/24", "10.72.0.0/24")
	server = w.neighbour("server", "10.72.0.1/24", "10.72.0.254/24", "10.71.0.0/24")
	w.set("net.ipv4.ip_forward", "1")
	w.nft("table ip t {\n chain p {\n  type nat hook postrouting priority 100;\n" +
		"  ip daddr 10.72.0.1 ip protocol tcp masquerade to :" + ports + "\n }\n}\n")
	l, _, err := server.Listen(lab.ListenSpec{Addr: behindNAT, Backlog: 128})
	w.must(err)
	w.must(server.Serve(l, lab.Hold))
	return clients, server
}

// neighbour is a process in a lab of its own, which is wired to this one and reaches other
// networks through it.
func (w world) neighbour(name, own, router, others string) *lab.Actor {
	w.Helper()
	beside, at := w.beside(name, own, router)
	w.must(beside.Route(netip.MustParsePrefix(others), at))
	a, err := beside.Spawn(name)
	w.must(err)
	return a
}

// beside is a lab that is wired to this one, which has an address on the cable.
func (w world) beside(name, theirs, ours string) (*lab.Lab, netip.Addr) {
	w.Helper()
	beside, err := w.lab.Beside(w.Context())
	w.must(err)
	at := netip.MustParsePrefix(ours)
	w.must(w.lab.Wire(beside, lab.Cable{
		Here: lab.Plug{Device: name, Addresses: []netip.Prefix{at}},
		There: lab.Plug{Device: "up",
			Addresses: []netip.Prefix{netip.MustParsePrefix(theirs)}}}))
	return beside, at.Addr()
}
