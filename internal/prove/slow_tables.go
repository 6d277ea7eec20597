package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "connection-table-chains",
	Limit: "slow-tables",
	Says: "a connection table with far more connections than buckets refuses none: connect() " +
		"takes more CPU time with the length of the chains",
	Source: "net/ipv4/inet_hashtables.c inet_ehash_insert, __inet_check_established; " +
		"d1e5e6408b30 (a table for a namespace, 6.1)",
	Unit:  "connections",
	Takes: 3 * time.Second,
	Busy:  Works,
	Needs: "6.1",
	Trial: func(b *Bench) Outcome {
		const wanted, buckets = 2000, 1
		small := chained(b, buckets, wanted)
		if small.Errors["EMFILE"] > 0 {
			b.CannotRun("a process may not have 2,000 descriptors here")
		}
		ratio := lastAsFirst(small)
		o := Exactly(wanted, int64(small.Count))
		o.Formula = "no bucket is full"
		o.ExpectThat("CPU time of the last connect() as a multiple of the first, with one "+
			"bucket", "at least 2", rounded(ratio), ratio >= 2)
		o.Note = fmt.Sprintf("the least of 16 connect() took %d ns with chains of up to "+
			"64 sockets and %d ns with 4,000: %.0f ns for each socket of a chain",
			median(small.Each[:2]), median(small.Each[len(small.Each)-6:]),
			perSocket(small, buckets))
		large := chained(b, 1<<16, wanted)
		ratio = lastAsFirst(large)
		o.WithoutThat("the same multiple with 65,536 buckets", "below 2", rounded(ratio),
			ratio < 2)
		o.Without("connections then", wanted, large.Count)
		return o
	},
})

// chained opens connections in a namespace whose connection table has so many buckets.
func chained(b *Bench, buckets, n int) lab.Cost {
	parent := b.World("net.ipv4.tcp_child_ehash_entries=" + fmt.Sprint(buckets))
	w := parent.Beside()
	server, client := w.Actor("server"), w.Actor("client")
	listener, at, err := server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(
		"127.0.0.1:0"), Backlog: 4096})
	b.Must(err)
	b.Must(server.Serve(listener, lab.Hold))
	return resolved(b, must(client.ConnectCost(lab.CostSpec{To: at, N: n})))
}

// lastAsFirst is the cost at the end as a multiple of that at the beginning.
func lastAsFirst(c lab.Cost) float64 {
	n := len(c.Each)
	return float64(median(c.Each[n-n/8:])) / float64(max(median(c.Each[:n/8]), 1))
}

// perSocket is what a socket of the chain adds to connect(), in nanoseconds.
func perSocket(c lab.Cost, buckets int) float64 {
	n := len(c.Each)
	more := float64(median(c.Each[n-n/8:]) - median(c.Each[:n/8]))
	return more / (2 * float64(c.Count) * 7 / 8 / float64(buckets))
}

var _ = register(Claim{
	ID:    "reuseport-group-size",
	Limit: "slow-tables",
	Says: "a SO_REUSEPORT group has at most 32,768 listeners; listen() on one more fails " +
		"with ENOMEM",
	Source: "net/core/sock_reuseport.c reuseport_grow (4.6)",
	Unit:   "listeners",
	Takes:  12 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		const most, each = 1 << 15, 8192
		w := b.World()
		at := netip.MustParseAddrPort("127.0.0.1:8080")
		group := func(n int) (made int, refused map[string]int) {
			for left := n; left > 0; left -= each {
				got := must(w.Actor("server").ListenMany(lab.ListenSpec{Addr: at,
					Backlog: 1, ReusePort: true}, min(left, each)))
				made, refused = made+got.Count, got.Errors
				if refused["EMFILE"] > 0 {
					b.CannotRun("a process may not have 8,192 descriptors here")
				}
			}
			return made, refused
		}
		made, refused := group(most + 3)
		o := Exactly(most, int64(made))
		o.Formula = "128 doubled while the next is below 65,536"
		o.Expect("ENOMEM from listen() on three more", 3, refused["ENOMEM"])
		one, err := w.Actor("other").ListenMany(lab.ListenSpec{Addr: netip.AddrPortFrom(
			at.Addr(), at.Port()+1), Backlog: 1, ReusePort: true}, 3)
		b.Must(err)
		o.Without("listeners of another port's group then", 3, one.Count)
		return o
	},
})
