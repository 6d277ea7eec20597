package watch

import (
	"io"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/render"
)

// LineSchema names the form of a Line. Fields may be added, none renamed.
const LineSchema = "maxconn.watch/1"

// Line is a survey of a network namespace as a line of JSON.
type Line struct {
	Schema  string           `json:"schema"`
	At      time.Time        `json:"at"`
	Netns   string           `json:"netns"`
	Verdict diagnose.Verdict `json:"verdict,omitempty"`
	Says    string           `json:"says,omitempty"` // the verdict in one sentence
	Why     string           `json:"why,omitempty"`  // it could not be surveyed
	Rows    []LineRow        `json:"rows"`
	Events  []LineEvent      `json:"events"` // since the line before
}

// LineRow is a limit of one subject. What is not known is left out.
type LineRow struct {
	Limit       string   `json:"limit"`
	Scope       string   `json:"scope"`
	Subject     string   `json:"subject"`
	Process     string   `json:"process,omitempty"`
	Measure     string   `json:"measure"`
	Unit        string   `json:"unit,omitempty"`
	Used        int64    `json:"used"`
	Ceiling     *int64   `json:"ceiling,omitempty"`
	AtMost      bool     `json:"at_most,omitempty"`
	Severity    string   `json:"severity,omitempty"`
	RefusedRate *float64 `json:"refused_per_second,omitempty"`
	BindsIn     *float64 `json:"binds_in_seconds,omitempty"` // an estimate
}

// LineEvent is something that happened.
type LineEvent struct {
	At       time.Time `json:"at"`
	Netns    string    `json:"netns"`
	Severity string    `json:"severity,omitempty"`
	What     string    `json:"what"`
}

// Lines writes surveys as lines of JSON.
type Lines struct {
	w    io.Writer
	told map[string]time.Time // the last survey of each namespace
	last time.Time            // of the last events
}

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w, told: map[string]time.Time{}} }

// Write writes a line for each namespace that was surveyed, or that failed, since the last time.
func (l *Lines) Write(n Now) error {
	var events []LineEvent
	for _, e := range slices.Backward(n.View.Events) {
		if e.At.After(l.last) {
			events = append(events, LineEvent{e.At, e.Space, string(e.Severity),
				e.What})
		}
	}
	known := map[string]time.Time{}
	for _, s := range n.View.Spaces {
		known[s.Key] = s.At
		if s.At.Equal(l.told[s.Key]) && s.Why == "" {
			continue
		}
		line := lineOf(s)
		line.Events, events = append(line.Events, events...), nil
		text, err := encode.JSONLine(line)
		if err != nil {
			return err
		}
		if _, err := l.w.Write(text); err != nil {
			return err
		}
	}
	if l.told = known; events == nil {
		l.last = n.View.At
	}
	return nil
}

func lineOf(s live.Space) Line {
	line := Line{Schema: LineSchema, At: s.At, Netns: s.Name, Why: s.Why, Rows: []LineRow{},
		Events: []LineEvent{}}
	if s.Why != "" {
		return line
	}
	line.Verdict, line.Says = s.Report.Verdict, render.VerdictText(s.Report)
	for _, r := range s.Rows {
		row := LineRow{Limit: string(r.Limit), Scope: string(r.Scope), Subject: r.Subject,
			Process: r.Process, Measure: string(r.Measure), Unit: r.Unit, Used: r.Used,
			AtMost: r.AtMost, Severity: string(r.Severity)}
		if !r.Unbounded {
			row.Ceiling = &r.Ceiling
		}
		if r.Refused >= 0 {
			row.RefusedRate = &r.Refused
		}
		if d, ok := r.BindsIn(); ok {
			seconds := d.Seconds()
			row.BindsIn = &seconds
		}
		line.Rows = append(line.Rows, row)
	}
	return line
}
