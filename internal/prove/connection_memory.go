package prove

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// bindBuckets is what a connection takes besides on the side that opened it, when no other
// uses its local port: struct inet_bind_bucket and inet_bind2_bucket (the latter since
// Linux 6.1), 128 bytes each.
const bindBuckets = 256

var _ = register(Claim{
	ID:    "idle-connection-memory",
	Limit: "connection-memory",
	Says: "an idle connection takes the kernel memory of a socket, its file and its " +
		"epoll entry on each side, and no more",
	Source: "net/core/sock.c sk_prot_alloc; net/socket.c sock_alloc_file; fs/eventpoll.c " +
		"ep_insert; mm/slub.c",
	Unit:  "bytes a connection, both sides",
	Takes: 4 * time.Second,
	Busy:  Alone,
	Trial: func(b *Bench) Outcome {
		const warm = 500
		n := 5000 * min(runtime.NumCPU(), 2) // the more, the less what others do counts
		e := b.between(loopback)
		b.needFiles(e.client, warm+n)
		b.hold(e, warm) // what was freed before is used again first
		g := e.GaugeAt(e.Snapshot(), "connection-memory", limit.Host)
		side := stepOf(g, limit.IdleConnection)
		predicted := float64(2*side + bindBuckets)

		const parts = 5
		began, each := time.Now(), [parts]float64{}
		for i := range each {
			before := slab(b)
			b.hold(e, n/parts)
			each[i] = float64(slab(b)-before) / float64(n/parts)
		}
		drift := b.drift(time.Since(began)) // what others do to the memory in as much time
		slices.Sort(each[:])
		// the least and the most are left out: what was freed before is used again,
		// and others take some
		low, high := each[1], each[parts-2]
		if high-low > 0.05*predicted || float64(drift) > 0.02*float64(n)*predicted {
			b.CannotRun(fmt.Sprintf(
				"not quiet: parts of the run took %.0f to %.0f bytes a "+
					"connection, and %d kB moved without any", low, high,
				drift>>10))
		}
		o := Within(0.05, predicted, each[parts/2])
		o.Formula = fmt.Sprintf("2 * %d + %d bytes of bind buckets", side, bindBuckets)
		o.Note = "slab pages are taken whole and other programs take some, so 5 % " +
			"either way count as the same"
		o.WithoutThat("kernel memory taken in as much time without connections",
			"less than 2 %", fmt.Sprintf("%d kB", drift>>10), true)
		return o
	},
})

// hold opens idle connections that both ends watch with epoll, as many at a time as the
// accept queue takes with ease.
func (b *Bench) hold(e ends, n int) {
	const atOnce = 1000
	for ; n > 0; n -= atOnce {
		client, server := e.pairs(min(n, atOnce))
		b.Must(e.client.WatchGroup(client))
		b.Must(e.server.WatchGroup(server))
	}
}

// drift is by how much the kernel memory for objects moves in a time in which the trial
// does nothing, in bytes.
func (b *Bench) drift(d time.Duration) int64 {
	before := slab(b)
	b.Pause(d)
	return max(slab(b)-before, before-slab(b))
}

// slab is the kernel memory for objects, in bytes.
func slab(b *Bench) int64 { return memory(b, "Slab") }

// memory reads a figure of /proc/meminfo, in bytes.
func memory(b *Bench, name string) int64 {
	kb, ok := must(procfs.ParseMeminfo(must(os.ReadFile("/proc/meminfo"))))[name]
	if !ok {
		b.CannotRun("/proc/meminfo has no " + name)
	}
	return int64(kb) << 10
}
