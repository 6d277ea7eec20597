package prove

import (
	"fmt"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// finTimeouts are the values of tcp_fin_timeout that recipes give, and the default.
func finTimeouts() []string { return []string{"5", "30", "60"} }

// waitPorts is the range of the TIME_WAIT trials: 600 ports make 10 connections a second, a
// figure without a remainder.
const (
	waitPorts = 600
	waitRange = "net.ipv4.ip_local_port_range=40000 40599"
)

var _ = register(Claim{
	ID:    "time-wait-timer",
	Limit: "time-wait",
	Says: "the kernel gives a socket in TIME_WAIT 60 s, whether tcp_fin_timeout is 5, " +
		"30 or 60",
	Source: "net/ipv4/tcp_minisocks.c tcp_time_wait; include/net/tcp.h TCP_TIMEWAIT_LEN",
	Unit:   "s",
	Takes:  time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		left, passed := make([]time.Duration, len(finTimeouts())),
			make([]time.Duration, len(finTimeouts()))
		var g float64
		var fs []func()
		for i, fin := range finTimeouts() {
			fs = append(fs, func() {
				var e ends
				b.Promptly(3*time.Second, func() time.Duration {
					e = b.between(ordinary, waitRange,
						"net.ipv4.tcp_fin_timeout="+fin)
					since := e.wait(20)
					left[i] = longest(must(e.Timers())["TIME_WAIT"])
					passed[i] = time.Since(since)
					return passed[i]
				})
				if i == 0 {
					g = waitSeconds(e)
				}
			})
		}
		b.Together(fs...)
		const exact = 0.1 // the timer says milliseconds and counts ticks
		o := Outcome{
			Predicted: g,
			High:      g + exact,
			Low:       g - exact - passed[0].Seconds(),
			Measured:  left[0].Seconds(),
		}
		o.Formula = waitFormula
		o.Note = fmt.Sprintf(
			"the time left on the kernel's own timer, read %.2f s after the close",
			passed[0].Seconds())
		for i, fin := range finTimeouts() {
			s, low, high := left[i].Seconds(), g-exact-passed[i].Seconds(), g+exact
			o.ExpectThat("s left on the timer after the close, with tcp_fin_timeout = "+
				fin, fmt.Sprintf("%.1f to %.1f", low, high), fmt.Sprintf("%.1f", s),
				low <= s && s <= high)
		}
		o.Without("sockets in TIME_WAIT after RST instead of FIN", 0, closedByReset(b))
		return o
	},
})

// closedByReset is how many of 20 connections are in TIME_WAIT after they were closed with RST.
func closedByReset(b *Bench) int64 {
	e := b.between(ordinary, waitRange)
	client, server := e.pairs(20)
	must(e.client.Close(client, lab.CloseSpec{Reset: true}))
	must(e.server.Close(server, lab.CloseSpec{}))
	return e.Sockstat("tw")
}

const waitFormula = "TIME_WAIT = usable ports / connections per second of the catalogue"

// waitSeconds is the length of TIME_WAIT that the catalogue's rate is made of.
func waitSeconds(e ends) float64 {
	return waitPorts / float64(max(e.GaugeAt(e.Snapshot(), "time-wait", limit.AnyPeer).Ceiling,
		1))
}

func longest(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}

var _ = register(Claim{
	ID:    "time-wait-length",
	Limit: "time-wait",
	Says: "a connection stays in TIME_WAIT for 60 s on the side that closed first; " +
		"tcp_fin_timeout does not shorten it",
	Source: "net/ipv4/tcp_minisocks.c tcp_time_wait; kernel/time/timer.c calc_wheel_index " +
		"for what the timer adds",
	Unit:  "s",
	Takes: 64 * time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		lives := make([]life, len(finTimeouts()))
		settled := b.settledAfter(int64(len(lives)))
		var predicted float64
		var fs []func()
		for i, fin := range finTimeouts() {
			fs = append(fs, func() {
				e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout="+fin)
				if i == 0 {
					predicted = waitSeconds(e)
				}
				lives[i] = e.lasting(20, time.Minute, settled, func() time.Time {
					return e.wait(20)
				})
			})
		}
		var reset int64
		fs = append(fs, func() { reset = closedByReset(b) })
		b.Together(fs...)
		o := Between(predicted, lives[0].most(predicted), lives[0].seconds)
		o.Formula = waitFormula + fmt.Sprintf("; the kernel's timer may add %.1f s",
			slackHere(time.Minute).Seconds())
		for i, fin := range finTimeouts() {
			l := lives[i]
			o.ExpectThat("s until the last of 20 was gone, with tcp_fin_timeout = "+fin,
				fmt.Sprintf("%.1f to %.1f", predicted, l.most(predicted)),
				fmt.Sprintf("%.1f", l.seconds), l.agrees(predicted))
			o.Series = append(o.Series,
				remaining("TIME_WAIT with tcp_fin_timeout = "+fin, "TIME_WAIT",
					l.curve, predicted))
		}
		o.WithoutThat("sockets in TIME_WAIT where they were closed with RST",
			"0 from the start", reset, reset == 0)
		return o
	},
})

// life is how long sockets lasted in a state: seconds from the first close until they were
// seen to be gone, how much of that may be too much, and the curve of how many there were.
type life struct {
	seconds, doubt float64
	curve          []Point
}

// agrees says whether the life can have been so long; a kernel timer of this length may add
// its slack.
func (l life) agrees(predicted float64) bool {
	return predicted <= l.seconds && l.seconds <= l.most(predicted)
}

func (l life) most(predicted float64) float64 {
	return predicted + slackHere(time.Duration(predicted*float64(time.Second))).Seconds() +
		l.doubt
}

// unsure is how well a trial must know a length.
func unsure(length time.Duration) time.Duration { return max(length/30, 400*time.Millisecond) }

// lasting makes n sockets in TIME_WAIT or closed in FIN_WAIT_2 and measures until the last
// is gone. It begins to look closely a little before the expected end. A length that is not
// known well enough ends the trial.
func (e ends) lasting(n int64, expected time.Duration, settled func(), open func() time.Time) life {
	start := open()
	if !e.b.Await(settling, func() bool { return e.Sockstat("tw") >= n }) {
		e.b.NotQuiet("not all of %d sockets were closed within %v", n, settling)
	}
	made, there, gone := time.Since(start), time.Duration(0), time.Duration(0)
	settled()
	curve := []Point{{Y: float64(n)}}
	look := func() bool {
		before := time.Since(start)
		left := e.Sockstat("tw")
		if left > 0 {
			there = before
		}
		gone = time.Since(start)
		curve = append(curve, Point{X: gone.Seconds(), Y: float64(left)})
		return left == 0
	}
	for time.Since(start) < expected*19/20 && !look() {
		e.b.Pause(min(expected/100, expected*19/20-time.Since(start)))
	}
	if curve[len(curve)-1].Y > 0 {
		e.b.often(5*time.Millisecond, max(3*time.Second, expected/6), look)
	}
	doubt := made + gone - there
	if doubt > unsure(expected) {
		e.b.NotQuiet("the length is not known better than to %v; %v are allowed",
			doubt.Round(time.Millisecond), unsure(expected))
	}
	return life{gone.Seconds(), doubt.Seconds(), thinned(curve)}
}

// thinned leaves out points of a curve at whose level it stands still.
func thinned(curve []Point) (out []Point) {
	for i, p := range curve {
		if i == 0 || i == len(curve)-1 || p.Y != curve[i-1].Y || p.Y != curve[i+1].Y {
			out = append(out, p)
		}
	}
	return out
}

// remaining is the plot of such a curve.
func remaining(name, state string, points []Point, predicted float64) Series {
	return Series{
		Name:   name,
		X:      "s after the close",
		Y:      "sockets in " + state,
		Points: points,
		Marks:  []Mark{{Name: fmt.Sprintf("predicted: %g s", predicted), X: &predicted}},
	}
}

var _ = register(Claim{
	ID:    "fin-wait-2-length",
	Limit: "fin-wait",
	Says: "a connection that the application has closed and the peer has not stays in " +
		"FIN_WAIT_2 for tcp_fin_timeout, and that is all this setting does",
	Source: "net/ipv4/tcp.c __tcp_close, net/ipv4/tcp_minisocks.c tcp_time_wait",
	Unit:   "s",
	Takes:  7 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		values := []string{"3", "5"}
		lives, predicted := make([]life, 2), make([]float64, 2)
		var held int
		var fs []func()
		for i, fin := range values {
			fs = append(fs, func() {
				e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout="+fin)
				client, _ := e.pairs(10)
				predicted[i] = finSeconds(e)
				lives[i] = e.lasting(10,
					time.Duration(predicted[i]*float64(time.Second)), func() {},
					func() time.Time {
						start := time.Now()
						must(e.client.Close(client, lab.CloseSpec{}))
						return start
					})
			})
		}
		fs = append(fs, func() { held = shutDownOnly(b) })
		b.Together(fs...)
		o := Between(predicted[1], lives[1].most(predicted[1]), lives[1].seconds)
		o.Formula = "FIN_WAIT_2 after close() = max(tcp_fin_timeout, 3.5 " +
			"retransmission timeouts)"
		o.ExpectThat("s with tcp_fin_timeout = 3",
			fmt.Sprintf("%.1f to %.2f", predicted[0], lives[0].most(predicted[0])),
			fmt.Sprintf("%.2f", lives[0].seconds), lives[0].agrees(predicted[0]))
		o.Note = fmt.Sprintf(
			"the kernel's timer ends up to %.2f s late, and the moments of the "+
				"close and of the end are known to %.2f s",
			slackHere(5*time.Second).Seconds(), lives[1].doubt)
		for i, fin := range values {
			o.Series = append(o.Series,
				remaining("FIN_WAIT_2 with tcp_fin_timeout = "+fin, "FIN_WAIT_2",
					lives[i].curve, predicted[i]))
		}
		o.Without("of 30 connections in FIN_WAIT_2 that were shut down and not closed, "+
			"there after tcp_fin_timeout", 30, held)
		return o
	},
})

// finSeconds is how long the catalogue says that FIN_WAIT_2 lasts.
func finSeconds(e ends) float64 {
	return float64(stepOf(e.GaugeAt(e.Snapshot(), "fin-wait", limit.Netns), limit.FinTimeout))
}

// shutDownOnly is how many connections are still in FIN_WAIT_2 when the time is over.
func shutDownOnly(b *Bench) int {
	e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout=2")
	client, _ := e.pairs(30)
	must(e.client.Shutdown(client))
	b.Pause(4 * time.Second)
	return must(e.client.States(client))["FIN_WAIT_2"]
}
