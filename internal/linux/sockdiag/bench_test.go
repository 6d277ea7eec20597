package sockdiag

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchSockets is how many established sockets the benchmarks make, in their
// own namespace. MAXCONN_SOCKDIAG_LAB=yes in a namespace that has sockets
// already, and MAXCONN_BENCH_SOCKETS=0, measures those.
func benchSockets(b *testing.B) int {
	b.Helper()
	text := os.Getenv("MAXCONN_BENCH_SOCKETS")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	must(b, err, "MAXCONN_BENCH_SOCKETS")
	return n
}

// populate makes n established sockets, accepted as far as the descriptor
// limit allows; the others wait in the accept queue.
func populate(b *testing.B, n int) {
	b.Helper()
	var limit unix.Rlimit
	must(b, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE")
	const spare = 100
	if uint64(n/2+spare) > limit.Cur {
		b.Skipf("%d sockets need %d descriptors, the limit is %d", n, n/2+spare, limit.Cur)
	}
	must(b, os.WriteFile("/proc/sys/net/core/somaxconn", []byte("65535"), 0),
		"raise the namespace's somaxconn")
	listener := newListener(b, unix.AF_INET, "127.0.0.1", 65535)
	for i := range n / 2 {
		client := connect(b, unix.AF_INET, "127.0.0.1", listener)
		reset := unix.Linger{Onoff: 1} // so that the next benchmark finds no TIME_WAIT
		must(b, unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &reset),
			"SO_LINGER")
		if uint64(n/2+i+spare) < limit.Cur {
			accept(b, listener)
		}
	}
}

// bare reads a dump as the shortest C program would: it looks at no more than
// the length and the kind of each message.
func bare(b *testing.B, c *Conn, r Request) (messages int) {
	b.Helper()
	must(b, c.send(r, r.filter()), "send")
	for c.running {
		must(b, c.receive(), "receive")
		for rest := c.unread; len(rest) >= unix.SizeofNlMsghdr; {
			if binary.NativeEndian.Uint16(rest[4:]) == unix.NLMSG_DONE {
				c.running = false
				break
			}
			messages++
			rest = rest[min(align(int(binary.NativeEndian.Uint32(rest))), len(rest)):]
		}
	}
	return messages
}

// decoded reads a dump as a caller does, and looks at a field of each socket.
func decoded(b *testing.B, c *Conn, r Request) (established int) {
	b.Helper()
	must(b, c.Dump(r, func(s *Socket) error {
		if s.State == Established && s.Source.Port() != 0 {
			established++
		}
		return nil
	}), "Dump")
	return established
}

func benchRequests() map[string]Request {
	plain := Request{Family: unix.AF_INET, States: AllStates &^ BoundInactive.Mask()}
	with := func(change func(*Request)) Request { r := plain; change(&r); return r }
	return map[string]Request{
		"plain": plain,
		"both":  with(func(r *Request) { r.Family = unix.AF_UNSPEC }),
		"all": with(func(r *Request) {
			r.Family, r.States = unix.AF_UNSPEC, AllStates
		}),
		"memory":   with(func(r *Request) { r.Memory = true }),
		"info":     with(func(r *Request) { r.Info = true }),
		"everyone": everything(),
	}
}

// BenchmarkDump compares a dump that is decoded with a bare one of the same
// sockets. The two take turns, so that a machine that is busy with something
// else is busy with it for both.
func BenchmarkDump(b *testing.B) {
	c := open(b)
	populate(b, benchSockets(b))
	requests := benchRequests()
	for _, name := range []string{"plain", "both", "all", "memory", "info", "everyone"} {
		b.Run(name, func(b *testing.B) { compare(b, c, requests[name]) })
	}
}

func compare(b *testing.B, c *Conn, r Request) {
	sockets := bare(b, c, r) // the first dump gives each socket its cookie
	var own, floor time.Duration
	ownBest, floorBest := time.Hour, time.Hour
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		bare(b, c, r)
		middle := time.Now()
		decoded(b, c, r)
		end := time.Now()
		floor, own = floor+middle.Sub(start), own+end.Sub(middle)
		floorBest, ownBest = min(floorBest, middle.Sub(start)),
			min(ownBest, end.Sub(middle))
	}
	perSocket := func(d time.Duration, dumps int) float64 {
		return float64(d.Nanoseconds()) / float64(dumps*sockets)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(sockets), "sockets")
	b.ReportMetric(perSocket(own, b.N), "ns/socket")
	b.ReportMetric(perSocket(floor, b.N), "bare-ns/socket")
	b.ReportMetric(perSocket(ownBest, 1), "best-ns/socket")
	b.ReportMetric(perSocket(floorBest, 1), "best-bare-ns/socket")
	b.ReportMetric(float64(own)/float64(floor), "ratio")
}

// BenchmarkBare is the floor alone, by the size of the receive buffer.
func BenchmarkBare(b *testing.B) {
	lab(b)
	populate(b, benchSockets(b))
	r := benchRequests()["plain"]
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, datagramSize, 64 << 10} {
		b.Run(fmt.Sprintf("buffer=%d", size), func(b *testing.B) {
			c := open(b) // the kernel remembers the largest buffer a socket has shown
			c.buffer = make([]byte, size)
			sockets := bare(b, c, r)
			b.ReportAllocs()
			for b.Loop() {
				bare(b, c, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*sockets),
				"ns/socket")
		})
	}
}

// BenchmarkParse is the decoding alone.
func BenchmarkParse(b *testing.B) {
	for _, c := range readCaptures(b) {
		b.Run(c.name, func(b *testing.B) {
			var s Socket
			b.ReportAllocs()
			for b.Loop() {
				if err := parse(c.body, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkListsBound shows what the probe costs with many sockets around.
func BenchmarkListsBound(b *testing.B) {
	lab(b)
	populate(b, benchSockets(b))
	for b.Loop() {
		_, err := ListsBound(0)
		must(b, err, "ListsBound")
	}
}
