package prove

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// searchPorts is the range of the cost trials, searchBatch the connections of one measurement.
const (
	searchPorts = 2048
	searchBatch = 16
	searchLow   = 40000
)

var _ = register(Claim{
	ID:    "connect-cost-step",
	Limit: "ephemeral-ports",
	Says: "connect() can use every port of the range, but its CPU time jumps when half of " +
		"them are taken towards one destination: " +
		"from there on each call first searches the full half in vain",
	Source: "net/ipv4/inet_hashtables.c __inet_hash_connect, 1580ab63fc9a (about 4.6)",
	Unit:   "connections at the step",
	Takes:  3 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		e, cost := wholeRange(b)
		g := e.Gauge("ephemeral-ports", "127.0.0.1 -> ")
		o := Within(0.02, float64(g.Ceiling)/2, float64(stepAt(cost.Each)*searchBatch))
		o.Formula = "half of " + Formula(g)
		o.Series = []Series{costSeries("whole range", cost, g.Ceiling/2)}
		ratio := aboveHalf(cost.Each)
		o.ExpectThat("CPU time of connect() above half, as a multiple of that below",
			"at least 2", rounded(ratio), ratio >= 2)
		o.Expect("connections that were made in the end", g.Ceiling, cost.Count)
		o.Expect("EADDRNOTAVAIL of one connect() when all are taken", 1,
			connect(e.client, e.to, 1).Errors["EADDRNOTAVAIL"])

		same := b.leastCost(func() lab.Cost {
			wide := searchWorld(b, 2*searchPorts)
			return must(wide.client.ConnectCost(lab.CostSpec{To: wide.to,
				N: searchPorts, Batch: searchBatch}))
		})
		ratio = aboveHalf(same.Each)
		o.WithoutThat("the same multiple where the range is twice as wide", "below 2",
			rounded(ratio), ratio < 2)
		o.Series = append(o.Series, costSeries("range twice as wide", same, 0))
		return o
	},
})

var _ = register(Claim{
	ID:    "port-windows-cost",
	Limit: "ephemeral-ports",
	Says: "sockets that get small windows of the range (IP_LOCAL_PORT_RANGE) connect at " +
		"the same CPU time up to the last port",
	Source: "net/ipv4/inet_hashtables.c __inet_hash_connect; net/core/sock.c " +
		"inet_sk_get_local_port_range, 91d0b78c5177 (6.3)",
	Unit:  "times the cost below half",
	Takes: 2 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		var e ends
		cost := b.leastCost(func() lab.Cost {
			e = searchWorld(b, searchPorts)
			cost, err := e.client.ConnectCost(lab.CostSpec{To: e.to, N: searchPorts,
				Batch: searchBatch, Low: searchLow, Window: 64})
			if errors.Is(err, syscall.ENOPROTOOPT) {
				b.CannotRun("this kernel has no IP_LOCAL_PORT_RANGE: Linux 6.3 " +
					"has it, and some stable kernels before")
			}
			return must(cost, err)
		})
		o := Outcome{Predicted: 1, Low: 0.5, High: 1.5, Measured: aboveHalf(cost.Each)}
		o.Formula = "windows of 64 ports, filled in turn: a search looks at 64 ports " +
			"at most"
		o.Note = "a ratio of CPU times; from half to one and a half agrees, because " +
			"the price of a handshake itself is not steadier"
		o.Series = []Series{costSeries("windows of 64 ports", cost, 0)}
		o.Expect("connections that were made",
			e.Gauge("ephemeral-ports", "127.0.0.1 -> ").Ceiling, cost.Count)

		_, whole := wholeRange(b)
		ratio := aboveHalf(whole.Each)
		o.WithoutThat("the same ratio without windows", "at least 2", rounded(ratio),
			ratio >= 2)
		o.Series = append(o.Series, costSeries("whole range", whole, searchPorts/2))
		return o
	},
})

// leastCost takes the costs in three worlds and keeps the least of each batch: what else runs on
// the machine only adds to a cost, and seldom to the same batch three times.
func (b *Bench) leastCost(costs func() lab.Cost) lab.Cost {
	least := costs()
	for range 2 {
		again := costs()
		for i := range min(len(least.Each), len(again.Each)) {
			least.Each[i] = min(least.Each[i], again.Each[i])
		}
	}
	return resolved(b, least)
}

// resolved ends the trial where the kernel counts CPU time in whole ticks: without a steady
// TSC, as in some emulated machines, it has no better clock for that (kernel/sched/clock.c
// sched_clock_stable).
func resolved(b *Bench, cost lab.Cost) lab.Cost {
	if median(cost.Each) < 1000 {
		b.CannotRun("this machine's clock of CPU time is too coarse for a single connect()")
	}
	return cost
}

// wholeRange is what connect() costs where every port of the range may be taken, and the last
// world in which that was measured.
func wholeRange(b *Bench) (e ends, cost lab.Cost) {
	cost = b.leastCost(func() lab.Cost {
		e = searchWorld(b, searchPorts)
		return must(e.client.ConnectCost(lab.CostSpec{To: e.to, N: searchPorts,
			Batch: searchBatch}))
	})
	return e, cost
}

func searchWorld(b *Bench, ports int) ends {
	e := b.between(loopback, "net.ipv4.ip_local_port_range="+strconv.Itoa(searchLow)+" "+
		strconv.Itoa(searchLow+ports-1))
	b.Must(e.server.Serve(e.listener, lab.Hold))
	return e
}

// stepAt is the batch before which the costs differ most from those after: the cut that
// best parts cheap ones from dear ones.
func stepAt(each []int64) (cut int) {
	dear := dearOnes(smoothed(each))
	all, left, best := 0, 0, -1
	for _, d := range dear {
		all += d
	}
	for i := range dear {
		cheapLeft, dearRight := i-left, all-left
		if cheapLeft+dearRight > best {
			best, cut = cheapLeft+dearRight, i
		}
		left += dear[i]
	}
	return cut
}

// dearOnes is 1 for each cost above the geometric mean of what is usual at the beginning
// and at the end: a machine that is busy doubles a cost, the step is a multiple.
func dearOnes(each []int64) []int {
	low, high := median(each[:len(each)/4]), median(each[len(each)*3/4:])
	middle := math.Sqrt(float64(low) * float64(high))
	out := make([]int, len(each))
	for i, v := range each {
		if float64(v) > middle {
			out[i] = 1
		}
	}
	return out
}

// smoothed takes the median of five neighbours, which leaves a step where it is.
func smoothed(each []int64) []int64 {
	out := make([]int64, len(each))
	for i := range each {
		out[i] = median(each[max(i-2, 0):min(i+3, len(each))])
	}
	return out
}

// aboveHalf is the cost in the upper half as a multiple of that in the lower.
func aboveHalf(each []int64) float64 {
	return float64(median(each[len(each)/2:])) / float64(max(median(each[:len(each)/2]), 1))
}

func median(values []int64) int64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// rounded writes a ratio with one decimal.
func rounded(ratio float64) string { return strconv.FormatFloat(ratio, 'f', 1, 64) }

// costSeries is the curve: microseconds a connect() by how many ports are taken.
func costSeries(name string, cost lab.Cost, half int64) Series {
	s := Series{Name: name, X: "connections open", Y: "CPU time of a connect(), us"}
	for i, ns := range cost.Each {
		s.Points = append(s.Points, Point{X: float64((i + 1) * searchBatch),
			Y: float64(ns) / 1000})
	}
	if half > 0 {
		x := float64(half)
		s.Marks = []Mark{{Name: "half of the range", X: &x}}
	}
	return s
}
