//go:build linux

package load

import (
	"cmp"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maxconn/maxconn/internal/load/result"
)

// measured is a report with what only those who merge reports need.
type measured struct {
	result.Report
	times      latency // of connects
	cpuSeconds float64
	userGrown  int64
	began      int64
}

// summed are the times of a histogram.
func (l *latency) summed() result.Times {
	h := l.times
	if h == nil || h.TotalCount() == 0 {
		return result.Times{}
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return result.Times{
		Seen: h.TotalCount() + l.over, P50: us(h.ValueAtQuantile(50)),
		P90: us(h.ValueAtQuantile(90)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)),
		Max:  us(h.Max()), Mean: h.Mean() / 1e3, Buckets: buckets(h),
	}
}

// buckets are powers of two, as a plot wants them.
func buckets(h *hdrhistogram.Histogram) (out []result.Bucket) {
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
			out = append(out, result.Bucket{UpTo: float64(upTo) / 1e3,
				Count: bar.Count})
		}
	}
	return out
}

func sortFailures(all []result.Failure) {
	slices.SortFunc(all, func(a, b result.Failure) int {
		return cmp.Or(cmp.Compare(a.First, b.First),
			strings.Compare(string(a.Phase)+a.Errno, string(b.Phase)+b.Errno))
	})
}

// moved is what differs, sorted by name. Packets and bytes are no news.
func moved(before, after map[string]int64) []result.Moved {
	out := []result.Moved{}
	for name, now := range after {
		was, ok := before[name]
		if ok && now != was {
			out = append(out, result.Moved{Name: name, By: now - was})
		}
	}
	slices.SortFunc(out, func(a, b result.Moved) int { return strings.Compare(a.Name, b.Name) })
	return out
}
