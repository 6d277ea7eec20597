package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "more-than-65535-on-one-port",
	Limit: "ephemeral-ports",
	Says: "one listening port holds more than 65,535 connections: ports bound the " +
		"clients, each for itself",
	Source: "net/ipv4/inet_hashtables.c __inet_lookup_established (all four numbers make " +
		"the key)",
	Unit:  "connections",
	Takes: 12 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		const wanted, clients = 66000, 4
		b.needMemory(wanted * 10 << 10)
		// Less than half of the range for each client: beyond that each connect()
		// costs a search.
		w := b.World("net.ipv4.ip_local_port_range=20000 60999", "net.core.somaxconn=65535")
		first := w.Actor("server")
		listener, addr := listenOn(first, 8080, 65535)
		b.needFiles(first, wanted/clients)
		held := make([]int, clients)
		var crowd []func()
		for i := range clients {
			server, client := w.Actor(fmt.Sprintf("server%d", i)),
				w.Actor(fmt.Sprintf("client%d", i))
			shared := b.borrow(server, first, listener)
			crowd = append(crowd, func() {
				source := netip.AddrPortFrom(
					netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)}), 0)
				inParts(wanted/clients, func(n int) lab.Opened {
					return must(client.Connect(lab.ConnectSpec{To: addr, N: n,
						From: source, NoPort: true, Within: time.Minute}))
				})
			}, func() {
				held[i] = inParts(wanted/clients, func(n int) lab.Opened {
					return must(server.Accept(lab.AcceptSpec{Listener: shared,
						N: n, Within: time.Minute}))
				})
			})
		}
		b.Together(crowd...)
		total := 0
		for _, n := range held {
			total += n
		}
		o := Exactly(wanted, int64(total))
		o.Formula = "no ceiling by ports: 4 client addresses with 16,500 connections each"
		inUse := w.Sockstat("inuse")
		o.ExpectThat("TCP sockets of the namespace in use",
			"two for each connection, and the listener", inUse, inUse == 2*wanted+1)

		w.Sysctl("net.ipv4.ip_local_port_range", "20000 20099")
		alone := from(w.Actor("alone"), "127.0.2.1", addr, 150)
		o.Without("connections of one client address with 100 ports", 100, alone.Count)
		return o
	},
})

// inParts opens n connections, as many at a time as the slowest machine does within a
// minute, until one part is not complete.
func inParts(n int, open func(n int) lab.Opened) (count int) {
	const part = 1500
	for n > count {
		want := min(part, n-count)
		got := open(want).Count
		if count += got; got < want {
			break
		}
	}
	return count
}

// needMemory ends the trial where that many bytes would be more than half of what can be had.
func (b *Bench) needMemory(bytes int64) {
	if left := memory(b, "MemAvailable"); left < 2*bytes {
		b.CannotRun(fmt.Sprintf(
			"it takes %d MB of kernel memory, and only %d MB can be had", bytes>>20,
			left>>20))
	}
}

// needFiles ends the trial where a process may not have that many descriptors.
func (b *Bench) needFiles(a *lab.Actor, n int) {
	soft, _, err := a.Files()
	b.Must(err)
	if soft > 0 && soft < uint64(n)+64 {
		b.CannotRun(fmt.Sprintf("a process may have %d descriptors here, and it takes %d",
			soft, n+64))
	}
}
