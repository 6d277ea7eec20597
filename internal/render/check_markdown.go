package render

import (
	"io"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// Markdown writes a report as a document to paste into a ticket: everything, nothing left out.
func Markdown(w io.Writer, r diagnose.Report) error {
	m := &markdown{}
	m.report(r)
	return m.flush(w)
}

func (m *markdown) report(r diagnose.Report) {
	m.heading(2, "Connections of "+proseSpans(about(r.Host)[:1])+": "+prose(string(r.Verdict)))
	m.paragraph(proseSpans(about(r.Host)))
	m.paragraph("**" + proseSpans(verdictSpans(r)) + "**")
	for _, j := range r.Workload {
		verdict, why := goalWords(j)
		m.item(code(j.Direction+" "+j.Goal) + ": " + prose(verdict.text+why))
	}
	m.outbound(r)
	m.inbound(r)
	if len(r.Findings) > 0 {
		m.heading(3, "Findings")
	}
	for _, f := range r.Findings {
		m.finding(f)
	}
	if len(r.Unseen) > 0 {
		m.heading(3, "Not seen")
		m.b.Write("\n")
	}
	for _, u := range r.Unseen {
		m.item(code(u.Fact) + ": " + prose(u.Why+usedBy(u)))
	}
	m.paragraph("Figures: plain ones were read from the kernel; `=` computed; `<=` " +
		"computed, perhaps lower because something was not seen.")
}

func proseSpans(spans []span) md {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.text)
	}
	return prose(b.String())
}

func (m *markdown) outbound(r diagnose.Report) {
	if len(r.Capacity.Outbound) == 0 || !asksOutbound(r) {
		return
	}
	m.heading(3, "Outbound")
	var rows [][]md
	for _, o := range r.Capacity.Outbound {
		row := outboundRow(o)
		rows = append(rows, capacityCells(row))
	}
	m.table([]md{"from -> to", "process", "now:", "can hold:", "bound by", "new/s:",
		"bound by"}, rows)
}

// capacityCells are a row of capacity: names and figures in code, limits in prose.
func capacityCells(row []string) (cells []md) {
	for i, words := range row {
		if i == 2 || i == 4 || i == 6 {
			cells = append(cells, prose(words))
		} else {
			cells = append(cells, code(words))
		}
	}
	return cells
}

func (m *markdown) inbound(r diagnose.Report) {
	if len(r.Capacity.Inbound) == 0 || !asksInbound(r) {
		return
	}
	m.heading(3, "Inbound")
	var rows [][]md
	for _, i := range r.Capacity.Inbound {
		row := inboundRow(i)
		rows = append(rows, capacityCells(row))
	}
	m.table([]md{"listener", "process", "now:", "can hold:", "bound by", "burst:", "bound by"},
		rows)
}

func (m *markdown) finding(f diagnose.Finding) {
	m.heading(4, prose(severity(f).text)+": "+prose(f.Limit)+" at "+code(subject(f)))
	lines := []md{prose(use(f))}
	say := func(label, words md) {
		if words != "" {
			lines = append(lines, label+": "+words)
		}
	}
	say("cause", prose(f.Cause))
	say("set by", prose(f.Owner))
	for _, e := range f.Evidence {
		say("evidence", prose(evidence(e)))
	}
	for _, r := range f.Remedies {
		say("lift it", prose(remedy(r)))
	}
	for _, s := range f.Sources {
		say("source", code(s))
	}
	m.items(lines...)
}
