package prove

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "connections-in-a-cgroup",
	Limit: "cgroup-memory",
	Says: "the kernel memory of connections counts against the cgroup of the process " +
		"that opened them",
	Source:  "net/core/sock.c proto_register (SLAB_ACCOUNT); mm/memcontrol.c",
	Unit:    "bytes a connection",
	Takes:   4 * time.Second,
	Busy:    Alone,
	Machine: "a cgroup outlives the program that made it",
	Trial: func(b *Bench) Outcome {
		const n = 3000
		w := b.Machine()
		c := w.group("maxconn-memory", "memory", "memory.max", fmt.Sprint(256<<20))
		e := b.between(loopback)
		b.later(e.client.Kill)
		b.Must(c.Join(e.client))
		b.hold(e, 500) // what the process itself takes, and the kernel charges ahead
		side := stepOf(e.GaugeAt(e.Snapshot(), "connection-memory", limit.Host),
			limit.IdleConnection)
		before := charged(c)
		b.hold(e, n)
		o := Within(0.05, float64(side+bindBuckets), float64(charged(c)-before)/n)
		o.High += float64(reservedPages(1)) * float64(os.Getpagesize())
		o.Formula = fmt.Sprintf("%d + %d bytes of bind buckets", side, bindBuckets)
		o.Note = "the kernel charges pages ahead, so 5 % either way count as the same, " +
			"and before Linux 6.0 a page that a socket may keep in reserve"

		outside := b.between(loopback)
		before = charged(c)
		outside.pairs(n / 3)
		moved := charged(c) - before
		o.WithoutThat(
			"bytes that connections of processes outside of the cgroup take from it",
			"less than 1 % "+
				"of that", moved, moved < side*n/300)
		return o
	},
})

// charged is what a cgroup has taken besides the memory of its programs themselves, in bytes.
func charged(c *lab.Cgroup) int64 {
	all := must(strconv.ParseInt(strings.TrimSpace(must(c.Read("memory.current"))), 10, 64))
	for line := range strings.Lines(must(c.Read("memory.stat"))) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "anon" ||
			name == "file" {
			all -= must(strconv.ParseInt(value, 10, 64))
		}
	}
	return all
}
