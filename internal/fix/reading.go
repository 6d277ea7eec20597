package fix

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// Reading is a limit of one subject in one window: figures of its end, and what moved in it.
type Reading struct {
	Limit   string        `json:"limit"`
	Subject string        `json:"subject"`
	Kind    limit.Scope   `json:"kind"` // of the subject
	Process string        `json:"process,omitempty"`
	PID     int64         `json:"pid,omitempty"`
	Measure limit.Measure `json:"measure"`
	// Unit is of Ceiling and Used, "" for connections.
	Unit     string            `json:"unit,omitempty"`
	Severity diagnose.Severity `json:"severity,omitempty"`
	Ceiling  int64             `json:"ceiling"`
	Used     int64             `json:"used"`
	// Unbounded: there is no ceiling to compare with.
	Unbounded bool `json:"unbounded,omitempty"`
	// RefusedPerSecond is by the counter that proves the limit; below 0 where nothing counts
	// them. As text it is rounded up: a refusal is never shown as none.
	RefusedPerSecond float64 `json:"refused_per_second"`
	// OpenedPerSecond are the connections that were opened in its direction in the namespace
	// (Tcp.PassiveOpens, Tcp.ActiveOpens); below 0 where that could not be read.
	OpenedPerSecond float64 `json:"opened_per_second"`
	Cause           string  `json:"cause,omitempty"`
}

// key is what a reading is found again by. A pid is in the subject where it tells.
type key struct {
	limit, subject string
	measure        limit.Measure
	unit           string
}

func (r Reading) key() key { return key{r.Limit, r.Subject, r.Measure, r.Unit} }

// window is a snapshot of two samples.
type window struct {
	seconds         float64
	passive, active float64 // a second; below 0 where unknown
}

// unknownRate stands for a counter that could not be read.
const unknownRate = -1

func windowOf(s host.Snapshot) (w window, ok bool) {
	r := s.Read()
	length, err := time.ParseDuration(r.Optional(host.System("window")))
	if err != nil || length <= 0 {
		return w, false
	}
	w.seconds = length.Seconds()
	w.passive, w.active = w.rate(r, "Tcp.PassiveOpens"), w.rate(r, "Tcp.ActiveOpens")
	return w, true
}

func (w window) rate(r *host.Reader, counter string) float64 {
	n, ok := r.Moved(host.Counter(counter))
	if !ok || n < 0 {
		return unknownRate
	}
	return float64(n) / w.seconds
}

// opened is how many connections a second were opened in a direction.
func (w window) opened(d limit.Direction) float64 {
	switch {
	case d == limit.Inbound:
		return w.passive
	case d == limit.Outbound:
		return w.active
	case w.passive < 0 || w.active < 0:
		return unknownRate
	}
	return w.passive + w.active
}

// gauges are all of a snapshot.
func gauges(s host.Snapshot, w plan.Workload) []limit.Gauge {
	_, all := diagnose.CheckAll(s, diagnose.Options{Workload: w.Asked()})
	return all
}

// faulty says whether check complains of it.
func (r Reading) faulty() bool {
	return r.Severity == diagnose.Critical || r.Severity == diagnose.Warning
}

func (w window) reading(g limit.Gauge) Reading {
	return Reading{
		Limit: string(g.Limit.ID), Subject: g.Subject.Name,
		Kind: g.Subject.Kind, Process: g.Subject.Process,
		PID: g.Subject.PID, Measure: g.Measure, Unit: g.Unit, Severity: diagnose.Judge(g),
		Ceiling: g.Ceiling, Used: g.Used, Unbounded: g.Unbounded,
		RefusedPerSecond: w.refused(g),
		OpenedPerSecond:  w.opened(g.Bounds), Cause: g.Cause,
	}
}

// refused is how many connections a second a limit refused: most limits of outbound connections
// have no counter. What refuses and moves no counter that others move, too, is not counted.
func (w window) refused(g limit.Gauge) float64 {
	if g.Refused <= 0 && (len(g.Limit.Refusals) == 0 ||
		g.Limit.RefusalsShared && g.Refusing) {
		return unknownRate
	}
	return float64(max(g.Refused, 0)) / w.seconds
}

// String is the reading without its name: "214 refused/s at 6 of 6 connections".
func (r Reading) String() string {
	unit := cmp.Or(r.Unit, "connections")
	switch {
	case r.Unbounded && r.Used == 0:
		return r.figures()
	case r.Unit == "" && r.Measure == limit.PerSecond:
		unit = "new connections/s"
	}
	return r.figures() + " " + unit
}

// figures are those of String without what the last of them counts.
func (r Reading) figures() string {
	text := perSecond(r.RefusedPerSecond) + " refused/s"
	if r.RefusedPerSecond < 0 {
		text = "refusals not counted,"
	}
	switch {
	case !r.Unbounded && r.Measure == limit.PerSecond: // what is in use is no rate
		text += " at most " + figure.Count(r.Ceiling)
	case !r.Unbounded:
		text += " at " + figure.Count(r.Used) + " of " + figure.Count(r.Ceiling)
	case r.Used > 0:
		text += " at " + figure.Count(r.Used)
	}
	return text
}

// Name is the limit and whose it is: "accept-queue at 127.0.0.1:8080".
func (r Reading) Name() string { return r.Limit + " at " + r.Subject }

// perSecond writes a rate so that a small one is none but where there was nothing.
func perSecond(rate float64) string {
	switch {
	case rate < 0:
		return "?"
	case rate > 0 && rate < 10:
		return fmt.Sprintf("%.1f", math.Ceil(rate*10)/10)
	}
	return figure.Count(int64(math.Round(rate)))
}
