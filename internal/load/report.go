//go:build linux

package load

import (
	"cmp"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/maxconn/maxconn/internal/load/result"
)

// The types of a report stand in package result, which builds on every system.
type (
	Report   = result.Report
	Sample   = result.Sample
	Failure  = result.Failure
	Phase    = result.Phase
	Mode     = result.Mode
	Close    = result.Close
	Times    = result.Times
	Bucket   = result.Bucket
	BytesPer = result.BytesPer
	Moved    = result.Moved
	Sockstat = result.Sockstat
	SYNStep  = result.SYNStep
)

// Schema and the words of a report, as in package result.
const (
	Schema    = result.Schema
	Hold      = result.Hold
	Churn     = result.Churn
	Burst     = result.Burst
	Talk      = result.Talk
	ClientRST = result.ClientRST
	ClientFIN = result.ClientFIN
	ServerFIN = result.ServerFIN
	ServerRST = result.ServerRST
	Reuse     = result.Reuse
	AtSocket  = result.AtSocket
	AtSource  = result.AtSource
	AtBind    = result.AtBind
	AtConnect = result.AtConnect
	AtAccept  = result.AtAccept
	AtWatch   = result.AtWatch
	AtSend    = result.AtSend
	AtAnswer  = result.AtAnswer
	AtClose   = result.AtClose
	AtHeld    = result.AtHeld
	AtWorker  = result.AtWorker
)

// measured is a report with what only those who merge reports need.
type measured struct {
	Report
	times      latency // of connects
	cpuSeconds float64
	userGrown  int64
	began      int64
}

// summed are the times of a histogram.
func (l *latency) summed() Times {
	h := l.times
	if h == nil || h.TotalCount() == 0 {
		return Times{}
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return Times{
		Seen: h.TotalCount() + l.over, P50: us(h.ValueAtQuantile(50)),
		P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)),
		Max:  us(h.Max()), Mean: h.Mean() / 1e3, Buckets: buckets(h),
	}
}

// buckets are powers of two, as a plot wants them.
func buckets(h *hdrhistogram.Histogram) (out []Bucket) {
	upTo := int64(1000)
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for bar.To > upTo {
			upTo *= 2
		}
		if n := len(out); n > 0 && out[n-1].UpTo == float64(upTo)/1e3 {
			out[n-1].Count += bar.Count
		} else {
			out = append(out, Bucket{UpTo: float64(upTo) / 1e3, Count: bar.Count})
		}
	}
	return out
}

func sortFailures(all []Failure) {
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.First, b.First),
			strings.Compare(string(a.Phase)+a.Errno, string(b.Phase)+b.Errno))
	})
}

// moved is what differs, sorted by name. Packets and bytes are no news.
func moved(before, after map[string]int64) []Moved {
	out := []Moved{}
	for name, now := range after {
		was, ok := before[name]
		if ok && now != was {
			out = append(out, Moved{Name: name, By: now - was})
		}
	}
	slices.SortFunc(out, func(a, b Moved) int { return strings.Compare(a.Name, b.Name) })
	return out
}
