package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "nat-ports-per-destination",
	Limit: "nat-ports",
	Says: "a rule for SNAT gives each connection to one destination a port of its own from " +
		"those that it names: the SYN of one more is dropped without a word and " +
		"insert_failed counts it, while connections to another port have them again",
	Source: "net/netfilter/nf_nat_core.c get_unique_tuple, nf_nat_l4proto_unique_tuple",
	Unit:   "connections",
	Takes:  5 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const ports, wanted = 20, 30
		e := b.rewriting(40000, 40000+ports-1)
		before := e.Snapshot()
		made := must(e.client.Connect(lab.ConnectSpec{To: e.to, N: wanted,
			Within: 2 * time.Second}))
		after := host.Window(before, e.Snapshot(), time.Second)
		g := e.GaugeOf(after, "nat-ports", e.to.String())
		o := Exactly(g.Ceiling, int64(made.Count))
		o.Formula = Formula(g)
		o.Expect("check sees the source without a port", true, g.Refusing)
		o.Expect("ports in use", ports, g.Used)
		o.ExpectThat("packets that could not be entered", "at least 1", g.Refused,
			g.Refused > 0)
		o.ExpectThat("connect() beyond it", "EINPROGRESS: no answer until the time is over",
			made.Errors, made.Errors["EINPROGRESS"] > 0 && len(made.Errors) == 1)
		_, other := e.listen(ordinary, 8081)
		b.allows(e.RewriteSources(lab.Sources{Port: other.Port(), To: ordinary, Low: 40000,
			High: 40000 + ports - 1}))
		o.Expect("connections to another port with the same ports", ports,
			connect(e.client, other, ports).Count)

		free := b.rewriting(0, 0)
		o.Without("connections where the rule names no ports", wanted,
			connect(free.client, free.to, wanted).Count)
		return o
	},
})

// rewriting is a world that gives connections to its server another source port.
func (b *Bench) rewriting(low, high uint16) ends {
	e := b.between(ordinary)
	b.allows(e.RewriteSources(lab.Sources{Port: e.to.Port(), To: ordinary, Low: low,
		High: high}))
	return e
}

// allows ends the trial where the kernel has no such rule.
func (b *Bench) allows(err error) {
	if err != nil {
		b.CannotRun(fmt.Sprintf("no rule of nf_tables: %v (load nf_tables, nft_chain_nat, "+
			"nft_nat and nft_connlimit)", err))
	}
}

var _ = register(Claim{
	ID:    "connections-of-a-rule",
	Limit: "connection-rules",
	Says: "a firewall rule with ct state new and ct count over a number drops the SYNs of " +
		"connections beyond it without a word and its counter counts them; a closed " +
		"connection counts no longer although its entry is there for minutes",
	Source: "net/netfilter/nft_connlimit.c nft_connlimit_do_eval; " +
		"net/netfilter/nf_conncount.c already_closed",
	Unit:  "connections",
	Takes: 5 * time.Second,
	Busy:  Waits,
	Needs: "4.18",
	Trial: func(b *Bench) Outcome {
		const allowed, wanted = 20, 30
		e := b.between(ordinary)
		b.allows(e.Allow(lab.Allowance{Port: e.to.Port(), Most: allowed}))
		before := e.Snapshot()
		made := must(e.client.Connect(lab.ConnectSpec{To: e.to, N: wanted,
			Within: 2 * time.Second}))
		g := e.since(before, "connection-rules", e.to.String())
		o := Exactly(g.Ceiling, int64(made.Count))
		o.Formula = fmt.Sprintf("ct count over %d", allowed)
		o.Expect("check sees the rule refuse", true, g.Refusing)
		o.ExpectThat("packets that the rule's counter counts", "at least 1", g.Refused,
			g.Refused > 0)
		o.ExpectThat("connect() beyond it", "EINPROGRESS: no answer until the time is over",
			made.Errors, made.Errors["EINPROGRESS"] > 0 && len(made.Errors) == 1)
		taken := must(e.server.Accept(lab.AcceptSpec{Listener: e.listener, N: allowed}))
		must(e.client.Close(made.Group, lab.CloseSpec{}))
		e.arrived(taken.Group, allowed)
		must(e.server.Close(taken.Group, lab.CloseSpec{}))
		b.Await(2*time.Second, func() bool { return e.Sockstat("inuse") <= 1 })
		again := knock(e.client, e.to, allowed)
		begun := 0
		b.Await(8*time.Second, func() bool { // what has closed is taken out by and by
			begun = must(e.client.States(again.Group))["ESTABLISHED"]
			return begun >= allowed/2
		})
		o.ExpectThat("connections once those before have closed", "at least half as many",
			begun, begun >= allowed/2)

		free := b.tracked()
		o.Without("connections without the rule", wanted,
			connect(free.client, free.to, wanted).Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "neighbour-queue-length",
	Limit: "neighbour-queue",
	Says: "while the hardware address of a neighbour is asked for, unres_qlen_bytes of " +
		"packets " +
		"wait for it; each further one pushes out the oldest, and its connection begins " +
		"a second later",
	Source: "net/core/neighbour.c __neigh_event_send",
	Unit:   "SYNs",
	Takes:  4 * time.Second,
	Busy:   Alone,
	Trial: func(b *Bench) Outcome {
		const burst = 500
		lost, g, began := b.unanswered(burst, "")
		o := Within(0.09, float64(g.Ceiling), float64(burst-lost)) // 832 or 896 bytes each
		o.Formula = Formula(g)
		o.Expect("check sees that more wait than the queue holds", true, g.Harms)
		o.Expect("connections in the end", burst, began)
		lost, g, began = b.unanswered(burst, "2097152")
		o.Without("SYNs that were sent again with a longer queue", 0, lost)
		o.Without("check sees that more wait than the queue holds", false, g.Harms)
		o.Without("connections in the end", burst, began)
		return o
	},
})

// unanswered opens connections to a neighbour that gets its address only then, and says how many of
// their SYNs had to be sent again, what the model says meanwhile, and how many came about.
func (b *Bench) unanswered(burst int, queue string) (lost int, g limit.Gauge, began int) {
	here, there := b.joined(1, 0)
	for key, value := range map[string]string{"retrans_time_ms": "100", "mcast_solicit": "200",
		"unres_qlen_bytes": queue} {
		if value != "" {
			here.Sysctl("net.ipv4.neigh.cable."+key, value)
		}
	}
	_, _, err := there.Actor("server").Listen(lab.ListenSpec{
		Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 8080), Backlog: 4096})
	b.Must(err)
	there.Sysctl("net.core.somaxconn", "4096")
	client := here.Actor("client")
	b.Settled()
	// One neighbour is looked at, another one is asked for so briefly that no SYN is sent again
	// for its age.
	looked, timed := cablePrefix(100), cablePrefix(101)
	first := knock(client, netip.AddrPortFrom(looked.Addr(), 8080), burst)
	g = here.GaugeOf(here.Snapshot(), "neighbour-queue", looked.Addr().String())
	b.Must(there.AddAddress("cable", looked))
	begun := func(group lab.Group) int { return must(client.States(group))["ESTABLISHED"] }
	b.Await(8*time.Second, func() bool { return begun(first.Group) == burst })
	before := here.Counter("TcpExt.TCPSynRetrans")
	made := knock(client, netip.AddrPortFrom(timed.Addr(), 8080), burst)
	b.Must(there.AddAddress("cable", timed))
	b.Await(8*time.Second, func() bool { return begun(made.Group) == burst })
	return int(here.Counter("TcpExt.TCPSynRetrans") - before), g, begun(made.Group)
}
