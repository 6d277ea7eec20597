package render

import (
	"io"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// ReportsSchema names the JSON form of Reports.
const ReportsSchema = "maxconn.reports/1"

// Reports are the reports of all network namespaces, and those that could not be entered.
type Reports struct {
	Schema      string            `json:"schema"`
	Reports     []diagnose.Report `json:"reports"`
	Unreachable []Unreachable     `json:"unreachable"`
}

// Unreachable is a network namespace without a report.
type Unreachable struct {
	Netns string `json:"netns"` // its name, a process in it, or how many there are
	Why   string `json:"why"`
}

// ReportsText writes one report after the other, then what could not be entered.
func ReportsText(w io.Writer, all Reports, style Style) error {
	s := newScreen(style)
	for i, r := range all.Reports {
		if i > 0 {
			s.rule()
		}
		s.report(r)
	}
	if len(all.Unreachable) > 0 {
		if len(all.Reports) > 0 {
			s.rule()
		}
		s.line(0, span{"NOT ENTERED", bold})
	}
	for _, u := range all.Unreachable {
		s.para(2, 4, text(u.Netns+": "+u.Why))
	}
	return s.flush(w)
}

// ReportsJSON writes all reports as one document.
func ReportsJSON(w io.Writer, all Reports) error {
	all.Schema = ReportsSchema
	return writeJSON(w, all)
}

// ReportsMarkdown writes all reports as one document.
func ReportsMarkdown(w io.Writer, all Reports) error {
	m := &markdown{}
	for _, r := range all.Reports {
		m.report(r)
	}
	if len(all.Unreachable) > 0 {
		m.heading(2, "Not entered")
	}
	for _, u := range all.Unreachable {
		m.item(code(u.Netns) + ": " + prose(u.Why))
	}
	return m.flush(w)
}
