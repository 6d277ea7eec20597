package dial

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// BenchmarkOverhead compares a dial with net.Dialer's when nothing is short, on loopback. The two take turns of 20
// dials, so that both have the same machine; "ratio" is the median of the turns' ratios, "ratio-of-medians" that of all turns.
func BenchmarkOverhead(b *testing.B) {
	pool := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"),
		netip.MustParseAddr("127.0.0.3"), netip.MustParseAddr("127.0.0.4")}
	for _, c := range []struct {
		name string
		net  net.Dialer
		d    *Dialer
	}{
		{"kernel-source", net.Dialer{}, &Dialer{}},
		{"pool-of-4", net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, &Dialer{Sources: pool}},
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

func compare(b *testing.B, address string, theirs, ours dialFunc) {
	const size = 20
	var their, our, ratios []float64
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var t, o float64
		if i%2 == 0 { // who comes first finds colder caches
			t, o = block(b, address, theirs, size), block(b, address, ours, size)
		} else {
			o, t = block(b, address, ours, size), block(b, address, theirs, size)
		}
		their, our, ratios = append(their, t), append(our, o), append(ratios, o/t)
	}
	b.ReportMetric(median(their), "net-us/dial")
	b.ReportMetric(median(our), "dial-us/dial")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(our)/median(their), "ratio-of-medians")
}

// block gives the median microseconds of some dials. Closing with a reset keeps ports out of TIME_WAIT, and is not timed.
func block(b *testing.B, address string, dial dialFunc, n int) float64 {
	var took []float64
	for range n {
		began := time.Now()
		c, err := dial(context.Background(), "tcp", address)
		took = append(took, float64(time.Since(began).Nanoseconds())/1000)
		if err != nil {
			b.Fatal(err)
		}
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
	}
	return median(took)
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}
