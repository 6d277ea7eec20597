package prove

import (
	"fmt"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "time-wait-rate",
	Limit: "time-wait",
	Says: "where the connecting side closes first and nothing is reused, new connections " +
		"to one destination are limited to a sustained ports / 60 s " +
		"(with 600 ports here; the rate is in proportion to the ports, the 60 s are not)",
	Source: "net/ipv4/inet_hashtables.c __inet_check_established; net/ipv4/tcp_minisocks.c " +
		"tcp_time_wait",
	Unit:  "connections/s",
	Takes: 140 * time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		var o Outcome
		var control lab.Churned
		settled := b.settledAfter(2)
		b.Together(func() { o = steadyRate(b, settled) }, func() {
			e := b.between(ordinary, waitRange)
			b.Must(e.server.Serve(e.listener, lab.CloseFirst))
			settled()
			control = must(e.client.Churn(lab.ChurnSpec{To: e.to, PerSecond: 50,
				For: 30 * time.Second, Second: true}))
		})
		o.Without("connect() refused where the server closes first, at five times the "+
			"rate for 30 s", 0, control.Errors["EADDRNOTAVAIL"])
		return o
	},
})

// onTime says how late the client was at worst, and ends the trial where the rate is
// therefore its own and not that of the ports.
func onTime(b *Bench, got lab.Churned) time.Duration {
	const allowed = 2 * time.Second
	if got.Late > allowed {
		b.NotQuiet("the client was up to %v late, and %v are allowed",
			got.Late.Round(time.Millisecond), allowed)
	}
	return got.Late
}

// steadyRate takes every port as soon as it is free, for two lengths of TIME_WAIT after the
// first use of each.
func steadyRate(b *Bench, settled func()) Outcome {
	e := b.between(ordinary, waitRange)
	b.Must(e.server.Serve(e.listener, lab.CloseSecond))
	g := e.GaugeAt(e.Snapshot(), "time-wait", limit.AnyPeer)
	settled()
	got := must(e.client.Churn(lab.ChurnSpec{To: e.to, PerSecond: 50, For: 138 * time.Second,
		Eager: true}))
	most := float64(g.Ceiling)
	// Ports come free in crowds, as coarse as the timer is, and are taken one after the
	// other: half a second more.
	late := slackHere(time.Minute).Seconds() + max(0.5, onTime(b, got).Seconds())
	o := Outcome{Predicted: most, High: most, Low: most * 60 / (60 + late)}
	o.Measured = steady(got.At, waitPorts)
	o.Formula = Formula(g) +
		fmt.Sprintf("; TIME_WAIT ends up to %.1f s late, as coarse as the kernel's "+
			"timer is, and some time passes until the port is used",
			slackHere(time.Minute).Seconds())
	o.ExpectThat("connect() before a port is free", "EADDRNOTAVAIL, and nothing else",
		got.Errors, got.Errors["EADDRNOTAVAIL"] > 0 && len(got.Errors) == 1)
	o.ExpectThat("connections", "each port used three times", len(got.At),
		len(got.At) >= 3*waitPorts)
	o.Expect("check sees the flow refuse", true,
		e.Gauge("time-wait", " -> "+e.to.String()).Refusing)
	o.Series = []Series{opened(got.At, waitPorts), perSecond(got.At, o.Predicted)}
	return o
}

// steady is the rate at which ports are used again: how many there are, by the mean time
// between two uses. at are the moments of the connections, in ms; 0 where no port was used
// twice.
func steady(at []int64, ports int) float64 {
	var sum int64
	uses := 0
	for i := 0; i+ports < len(at); i++ {
		sum += at[i+ports] - at[i]
		uses++
	}
	if sum == 0 {
		return 0
	}
	return float64(ports) * 1000 * float64(uses) / float64(sum)
}

// perSecond is the curve of the rate, over stretches of six seconds.
func perSecond(at []int64, predicted float64) Series {
	const stretch = 6
	s := Series{
		Name:  "connections a second",
		X:     "s",
		Y:     fmt.Sprintf("connections/s over %d s", stretch),
		Marks: []Mark{{Name: "predicted in the long run", Y: &predicted}},
	}
	if len(at) == 0 {
		return s
	}
	counts := make([]int, at[len(at)-1]/1000/stretch+1)
	for _, ms := range at {
		counts[ms/1000/stretch]++
	}
	for i, n := range counts[:len(counts)-1] { // the last one is not whole
		s.Points = append(s.Points, Point{X: float64(i*stretch) + stretch/2.0,
			Y: float64(n) / stretch})
	}
	return s
}

// opened is the curve of connections made so far, a point a second.
func opened(at []int64, ports int) Series {
	first := float64(ports)
	s := Series{
		Name:  "connections opened",
		X:     "s",
		Y:     "connections so far",
		Marks: []Mark{{Name: "every port used once", Y: &first}},
	}
	for i, ms := range at {
		if i+1 == len(at) || at[i+1]/1000 != ms/1000 {
			s.Points = append(s.Points, Point{X: float64(ms) / 1000, Y: float64(i + 1)})
		}
	}
	return s
}
