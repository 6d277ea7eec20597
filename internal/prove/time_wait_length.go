package prove

import (
	"fmt"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// finTimeouts are the values of tcp_fin_timeout that recipes give, and the default.
func finTimeouts() []string { return []string{"5", "30", "60"} }

// waitPorts is the range of the TIME_WAIT trials: 600 ports make 10 connections a second, a figure without a remainder.
const (
	waitPorts = 600
	waitRange = "net.ipv4.ip_local_port_range=40000 40599"
)

var _ = register(Claim{
	ID:     "time-wait-timer",
	Limit:  "time-wait",
	Says:   "the kernel gives a socket in TIME_WAIT 60 s, whether tcp_fin_timeout is 5, 30 or 60",
	Source: "net/ipv4/tcp_minisocks.c tcp_time_wait; include/net/tcp.h TCP_TIMEWAIT_LEN",
	Unit:   "s",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		timers := make([]time.Duration, len(finTimeouts()))
		var g float64
		var fs []func()
		for i, fin := range finTimeouts() {
			fs = append(fs, func() {
				e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout="+fin)
				since := e.wait(20)
				timers[i] = longest(must(e.Timers())["TIME_WAIT"])
				if took := time.Since(since); took > time.Second {
					b.CannotRun(fmt.Sprintf("not quiet: %v passed between the close and the look at the timers", took.Round(time.Millisecond)))
				}
				if i == 0 {
					g = waitSeconds(e)
				}
			})
		}
		b.Together(fs...)
		o := Within(0.02, g, timers[0].Seconds())
		o.Formula = waitFormula
		for i, fin := range finTimeouts() {
			o.ExpectThat("s left right after the close, with tcp_fin_timeout = "+fin, fmt.Sprintf("%g, less 2 %%", g), timers[i].Seconds(), timers[i].Seconds() <= g && timers[i].Seconds() > 0.98*g)
		}
		e := b.between(ordinary, waitRange)
		client, server := e.pairs(20)
		must(e.client.Close(client, lab.CloseSpec{Reset: true}))
		must(e.server.Close(server, lab.CloseSpec{}))
		o.Without("sockets in TIME_WAIT after RST instead of FIN", 0, e.Sockstat("tw"))
		return o
	},
})

const waitFormula = "TIME_WAIT = usable ports / connections per second of the catalogue"

// waitSeconds is the length of TIME_WAIT that the catalogue's rate is made of.
func waitSeconds(e ends) float64 {
	return waitPorts / float64(max(e.Gauge("time-wait", "any one destination").Ceiling, 1))
}

func longest(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}

var _ = register(Claim{
	ID:     "time-wait-length",
	Limit:  "time-wait",
	Says:   "a connection stays in TIME_WAIT for 60 s on the side that closed first; tcp_fin_timeout does not shorten it",
	Source: "net/ipv4/tcp_minisocks.c tcp_time_wait; kernel/time/timer.c calc_wheel_index for what the timer adds",
	Unit:   "s",
	Takes:  64 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		lengths := make([]time.Duration, len(finTimeouts()))
		var predicted float64
		var fs []func()
		for i, fin := range finTimeouts() {
			fs = append(fs, func() {
				e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout="+fin)
				if i == 0 {
					predicted = waitSeconds(e)
				}
				lengths[i] = e.lasting(50, time.Minute, func() time.Time { return e.wait(50) })
			})
		}
		b.Together(fs...)
		most := predicted + slackHere(time.Minute).Seconds() + unsure(time.Minute).Seconds()
		o := Between(predicted, most, lengths[0].Seconds())
		o.Formula = waitFormula + fmt.Sprintf("; the kernel's timer may add %.1f s", slackHere(time.Minute).Seconds())
		for i, fin := range finTimeouts() {
			s := lengths[i].Seconds()
			o.ExpectThat("s until the last of 50 was gone, with tcp_fin_timeout = "+fin, fmt.Sprintf("%.1f to %.1f", predicted, most), fmt.Sprintf("%.1f", s), s >= predicted && s <= most)
		}
		return o
	},
})

// unsure is how well a trial must know a length.
func unsure(length time.Duration) time.Duration { return length / 40 }

// lasting makes n sockets in TIME_WAIT or closed in FIN_WAIT_2 and measures until the last is gone. It begins to look a little before
// the expected end; until then all must be there. open says when the first came to be. A length that is not known well enough ends the trial.
func (e ends) lasting(n int64, expected time.Duration, open func() time.Time) time.Duration {
	start := open()
	made := time.Since(start)
	e.b.Pause(expected*9/10 - time.Since(start))
	if got := e.Sockstat("tw"); got != n {
		return time.Since(start)
	}
	last, late := time.Now(), time.Duration(0)
	e.b.Await(max(3*time.Second, expected/6), func() bool {
		late, last = max(late, time.Since(last)), time.Now()
		return e.Sockstat("tw") == 0
	})
	if made+late > unsure(expected) {
		e.b.CannotRun(fmt.Sprintf("not quiet: the length is not known better than to %v", (made + late).Round(time.Millisecond)))
	}
	return time.Since(start)
}

var _ = register(Claim{
	ID:     "fin-wait-2-length",
	Limit:  "fin-wait",
	Says:   "a connection that the application has closed and the peer has not stays in FIN_WAIT_2 for tcp_fin_timeout, and that is all this setting does",
	Source: "net/ipv4/tcp.c __tcp_close, net/ipv4/tcp_minisocks.c tcp_time_wait",
	Unit:   "s",
	Takes:  7 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		values := []string{"3", "5"}
		lengths, predicted := make([]time.Duration, 2), make([]float64, 2)
		var held int
		var fs []func()
		for i, fin := range values {
			fs = append(fs, func() {
				e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout="+fin)
				client, _ := e.pairs(30)
				predicted[i] = finSeconds(e)
				lengths[i] = e.lasting(30, time.Duration(predicted[i]*float64(time.Second)), func() time.Time {
					start := time.Now()
					must(e.client.Close(client, lab.CloseSpec{}))
					return start
				})
			})
		}
		fs = append(fs, func() { held = shutDownOnly(b) })
		b.Together(fs...)
		most := predicted[1] + slackHere(5*time.Second).Seconds() + unsure(5*time.Second).Seconds()
		o := Between(predicted[1], most, lengths[1].Seconds())
		o.Formula = "FIN_WAIT_2 after close() = max(tcp_fin_timeout, 3.5 retransmission timeouts)"
		other := predicted[0] + slackHere(3*time.Second).Seconds() + unsure(3*time.Second).Seconds()
		o.ExpectThat("s with tcp_fin_timeout = 3", fmt.Sprintf("%.1f to %.1f", predicted[0], other), fmt.Sprintf("%.2f", lengths[0].Seconds()),
			lengths[0].Seconds() >= predicted[0] && lengths[0].Seconds() <= other)
		o.Without("of 30 connections in FIN_WAIT_2 that were shut down and not closed, there after tcp_fin_timeout", 30, held)
		return o
	},
})

// finSeconds is how long the catalogue says that FIN_WAIT_2 lasts.
func finSeconds(e ends) float64 {
	return float64(stepOf(e.Gauge("fin-wait", "this network namespace"), "time in FIN_WAIT_2"))
}

// shutDownOnly is how many connections are still in FIN_WAIT_2 when the time is over.
func shutDownOnly(b *Bench) int {
	e := b.between(ordinary, waitRange, "net.ipv4.tcp_fin_timeout=2")
	client, _ := e.pairs(30)
	must(e.client.Shutdown(client))
	b.Pause(4 * time.Second)
	return must(e.client.States(client))["FIN_WAIT2"]
}
