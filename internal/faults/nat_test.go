//go:build linux

package faults

import (
	"net/netip"
	"strings"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// Source ports of a host that rewrites addresses.
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
		want: want{limit: "conntrack", severity: "critical",
			subject: "this network namespace", cause: `SNAT or MASQUERADE has no free source port`,
			remedies: []string{`topology.*source addresses in the SNAT range`,
				`topology.*random-fully`, `topology.*destinations`},
			never: []string{`nf_conntrack_max`}},
	},
}

// behindNAT is where the server of masquerade listens.
var behindNAT = netip.MustParseAddrPort("10.72.0.1:443")

// masquerade makes the lab a router that rewrites the source of connections from clients to a
// server, each in a lab beside it, with these ports. The server takes what comes.
func (w world) masquerade(ports string) (clients, server *lab.Actor) {
	w.Helper()
	nft := nstest.Tool(w.T, "nft")
	clients = w.neighbour("clients", "10.71.0.1/24", "10.71.0.254/24", "10.72.0.0/24")
	server = w.neighbour("server", "10.72.0.1/24", "10.72.0.254/24", "10.71.0.0/24")
	w.set("net.ipv4.ip_forward", "1")
	out, err := w.lab.Run(w.Context(), strings.NewReader("table ip t {\n chain p {\n"+
		"  type nat hook postrouting priority 100;\n"+
		"  ip daddr 10.72.0.1 ip protocol tcp masquerade to :"+ports+"\n }\n}\n"),
		nft, "-f", "-")
	w.must(err)
	if out.Code != 0 {
		w.Skipf("nft: %s", out.Stderr)
	}
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
