package prove

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "idle-connections-no-buffers",
	Limit: "tcp-memory",
	Says: "idle connections take nothing of tcp_mem: it counts queued data, not " +
		"connections; before Linux 6.0 each may keep a page in reserve on the side " +
		"that opened it",
	Source: "net/core/sock.c __sk_mem_raise_allocated; include/net/sock.h sk_mem_reclaim " +
		"(4890b686f408, 6.0)",
	Unit:  "bytes of tcp_mem",
	Takes: 2 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		const n = 300
		e := b.between(loopback)
		client, server := e.pairs(n)
		idle := queuedBytes(e, client, server)
		o := Between(0, float64(reservedPages(n)*int64(os.Getpagesize())), float64(idle))
		o.Formula = fmt.Sprintf(
			"%d idle connections, both ends: queued + received + reserved", n)
		o.Expect("connections that were looked at", n,
			must(e.client.States(client))["ESTABLISHED"])

		const unread = 30000
		sent := must(e.client.Send(client, unread))
		queued := queuedBytes(e, client, server) - idle
		o.WithoutThat("bytes of tcp_mem once one of them has data that nobody reads",
			fmt.Sprintf("at least the %d that were sent", sent), queued,
			queued >= int64(sent) && sent > 0)
		return o
	},
})

// queuedBytes is what both ends of connections have queued or hold in reserve, in bytes.
func queuedBytes(e ends, client, server lab.Group) int64 {
	return int64(must(e.client.Memory(client)).Total() + must(e.server.Memory(server)).Total())
}

// reservedPages is how many pages n idle connections keep: before 4890b686f408 (Linux 6.0)
// the one that the SYN was charged to stays with the socket.
func reservedPages(n int64) int64 {
	if older(strings.TrimSpace(string(must(os.ReadFile("/proc/sys/kernel/osrelease")))),
		"6.0") {
		return n
	}
	return 0
}
