package prove

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "bind-before-connect",
	Limit: "ephemeral-ports",
	Says: "bind(address, 0) before connect() makes all destinations share one set of " +
		"ports; with IP_BIND_ADDRESS_NO_PORT each has all of them",
	Source: "net/ipv4/inet_connection_sock.c inet_csk_get_port; net/ipv4/af_inet.c " +
		"__inet_bind, 90c337da1524 (4.2)",
	Unit:  "connections",
	Takes: 2 * time.Second,
	Busy:  Works,
	Needs: "4.2",
	Trial: func(b *Bench) Outcome {
		bound, boundErrors := bindAndConnect(b, false)
		free, freeErrors := bindAndConnect(b, true)
		e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40199")
		g := e.GaugeAt(e.Snapshot(), "ephemeral-ports", limit.AnyPeer)
		o := Exactly(g.Ceiling, total(bound))
		o.Formula = Formula(g) + ", for three destinations together"
		o.Expect("connections to three destinations, one after the other",
			fmt.Sprintf("%d/0/0", g.Ceiling), counts(bound))
		o.ExpectThat("bind() beyond it", "EADDRINUSE, and nothing else", boundErrors,
			boundErrors["EADDRINUSE"] > 0 && len(boundErrors) == 1)
		o.Expect("check sees a program that binds before it connects", true, sharesPorts(b))
		o.Without("connections with IP_BIND_ADDRESS_NO_PORT",
			fmt.Sprintf("%d/%d/%d", g.Ceiling, g.Ceiling, g.Ceiling), counts(free))
		o.WithoutThat("connect() beyond it", "EADDRNOTAVAIL, and nothing else", freeErrors,
			freeErrors["EADDRNOTAVAIL"] > 0 && len(freeErrors) == 1)
		return o
	},
})

// bindAndConnect fills three destinations from one address.
func bindAndConnect(b *Bench, noPort bool) (made []int64, errs map[string]int) {
	e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40199")
	errs = map[string]int{}
	for i := range uint16(3) {
		_, to := e.listen(loopback, 8081+i)
		got := bindThenConnect(e, to, 250, noPort)
		made = append(made, int64(got.Count))
		for name, n := range got.Errors {
			errs[name] += n
		}
	}
	return made, errs
}

func bindThenConnect(e ends, to netip.AddrPort, n int, noPort bool) lab.Opened {
	return must(e.client.Connect(lab.ConnectSpec{To: to, N: n,
		From: netip.MustParseAddrPort("127.0.0.5:0"), NoPort: noPort}))
}

// sharesPorts says whether the catalogue recognises a program that binds before it
// connects, by its ports.
func sharesPorts(b *Bench) bool {
	e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40199")
	for i := range uint16(3) {
		_, to := e.listen(loopback, 8081+i)
		bindThenConnect(e, to, 40, false)
	}
	g := e.Gauge("ephemeral-ports", "127.0.0.5 -> all destinations")
	return g.Ceiling == 200 && g.Used == 120 &&
		strings.Contains(g.Cause, "IP_BIND_ADDRESS_NO_PORT")
}

func total(counts []int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// counts writes 200/0/0.
func counts(made []int64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(made), "[]"), " ", "/")
}
