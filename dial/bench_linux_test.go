package dial

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkOverhead compares a dial with net.Dialer's when nothing is short, on loopback.
// The two take turns of 50 dials, so that both have the same machine. "ratio" is that of
// all the time passed, "cpu-ratio" that of the processor time of this process, server
// included. A dial of net.Dialer takes either of two times, by whether its goroutine had to
// sleep until the handshake was over, and a mixture of two times has no useful median;
// "fast-ratio" compares the fastest tenth of each, in which nobody slept: what is left is
// the work of the dialer itself.
func BenchmarkOverhead(b *testing.B) {
	pool := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"),
		netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.4")}
	for _, c := range []struct {
		name string
		net  net.Dialer
		d    *Dialer
	}{
		{"kernel-source", net.Dialer{}, &Dialer{}},
		{"pool-of-4", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}},
			&Dialer{Sources: pool}},
		{"pool-of-4-against-no-source", net.Dialer{}, &Dialer{Sources: pool}},
		{"limits", net.Dialer{}, &Dialer{MaxOpen: 1 << 20, MaxPerSecond: 1e9}},
		{"net-against-itself", net.Dialer{}, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			ours := c.net.DialContext
			if c.d != nil {
				ours = c.d.DialContext
			}
			compare(b, server(b, "127.0.0.1:0").String(), c.net.DialContext, ours)
		})
	}
}

type dialFunc func(context.Context, string, string) (net.Conn, error)

// dials are what one way of dialling took: each dial, and all of them.
type dials struct {
	us        []float64
	wall, cpu time.Duration
}

func compare(b *testing.B, address string, theirs, ours dialFunc) {
	var their, our dials
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2 == 0 { // who comes first finds colder caches
			their.turn(b, address, theirs)
			our.turn(b, address, ours)
		} else {
			our.turn(b, address, ours)
			their.turn(b, address, theirs)
		}
	}
	n := float64(len(our.us)) * 1000
	b.ReportMetric(float64(their.wall)/n, "net-us/dial")
	b.ReportMetric(float64(our.wall)/n, "dial-us/dial")
	b.ReportMetric(float64(our.wall)/float64(their.wall), "ratio")
	b.ReportMetric(float64(our.cpu)/float64(their.cpu), "cpu-ratio")
	b.ReportMetric(fastest(our.us)/fastest(their.us), "fast-ratio")
}

// turn dials and closes with a reset, which keeps ports out of TIME_WAIT. Closing counts as
// processor time only.
func (d *dials) turn(b *testing.B, address string, dial dialFunc) {
	used := processorTime()
	for range 50 {
		began := time.Now()
		c, err := dial(context.Background(), "tcp", address)
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		d.us = append(d.us, float64(took.Nanoseconds())/1000)
		d.wall += took
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
	}
	d.cpu += processorTime() - used
}

// fastest is the tenth percentile.
func fastest(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/10]
}

// processorTime is that of this process.
func processorTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
