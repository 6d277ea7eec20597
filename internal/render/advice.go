package render

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// AdviceJSON writes what became of the popular recipe in its stable form.
func AdviceJSON(w io.Writer, r proof.AdviceReport) error { return writeJSON(w, r) }

// AdviceText writes the recipe for a terminal, one step after the other: promise, model,
// measurement, verdict.
func AdviceText(w io.Writer, r proof.AdviceReport, style Style) error {
	s := newScreen(style)
	s.para(0, 2, span{"prove advice", bold},
		text(" on Linux "+r.Kernel+": the popular recipe, each step on top of those "+
			"before it, in "+seconds(r.Seconds)+" s"))
	s.para(0, 2, span{r.Scaling, dim})
	s.blank()
	t := table{columns: []column{{head: "STEP", wraps: true},
		{head: "predicted/s", right: true}, {head: "measured/s", right: true},
		{head: "held", right: true}, {head: "verdict"}}}
	for _, a := range r.Advice {
		t.rows = append(t.rows, append(adviceFigures(a), string(a.Verdict)))
	}
	s.table(t)
	for _, a := range r.Advice {
		s.advised(a)
	}
	s.blank()
	s.para(0, 2, span{"connections/s sustained to one destination, and connections held; =N " +
		"predicted, ~N measured", dim})
	return s.flush(w)
}

// adviceFigures are a step's cells without the verdict.
func adviceFigures(a proof.Advised) []string {
	if a.Verdict == proof.Untried {
		return []string{a.Step, "", "", ""}
	}
	return []string{a.Step, "=" + threeDigits(a.Predicted.PerSecond),
		"~" + threeDigits(a.Measured.PerSecond), "~" + count(a.Measured.Held)}
}

// advised is one step in words.
func (s *screen) advised(a proof.Advised) {
	s.blank()
	s.para(0, 2, span{a.Step, bold}, text(": "),
		span{string(a.Verdict), advicePaint(a.Verdict)})
	for _, line := range a.Recipe {
		s.para(2, 4, span{line, dim})
	}
	s.labelled(2, "promise", proofColumn, text(a.Promise))
	s.labelled(2, "model", proofColumn, text(a.Model))
	for _, f := range a.Figures {
		s.labelled(2, "measured", proofColumn,
			text(f.What+": ~"+threeDigits(f.Measured)+" "+f.Unit+foretold(f)+", ~"+
				threeDigits(f.Without)+" without the step"))
	}
	if a.Why != "" && (len(a.Figures) == 0 || a.Verdict == proof.Untried) {
		s.labelled(2, "measured", proofColumn, text(a.Why))
	}
}

func foretold(f proof.Figure) string {
	if f.Predicted == nil {
		return ""
	}
	return " (=" + threeDigits(*f.Predicted) + " predicted)"
}

func advicePaint(e proof.Effect) paint {
	switch e {
	case proof.Helps:
		return green
	case proof.Harmful, proof.Gone:
		return red
	case proof.NoEffect, proof.Untried:
		return yellow
	}
	return plain
}

// AdviceMarkdown writes the recipe as a table to paste.
func AdviceMarkdown(w io.Writer, r proof.AdviceReport) error {
	m := &markdown{}
	m.heading(1, "The popular recipe on Linux "+prose(r.Kernel))
	m.paragraph("Each step on top of those before it; " + prose(r.Scaling) + ".")
	var rows [][]md
	for _, a := range r.Advice {
		figures := adviceFigures(a)
		rows = append(rows, proseOf(figures[0], a.Promise, a.Model, figures[1], figures[2],
			figures[3], string(a.Verdict), adviceExtras(a)))
	}
	m.table([]md{"step", "the recipe promises", "the kernel's source says", "predicted/s:",
		"measured/s:", "held:", "verdict", "also measured"}, rows)
	return m.flush(w)
}

func adviceExtras(a proof.Advised) string {
	var words []string
	for _, f := range a.Figures {
		words = append(words, f.What+": "+threeDigits(f.Measured)+" "+f.Unit+", "+
			threeDigits(f.Without)+" without")
	}
	return strings.Join(words, "; ")
}

// ComparisonJSON writes a workload before and after a plan in its stable form.
func ComparisonJSON(w io.Writer, c proof.Comparison) error { return writeJSON(w, c) }

// ComparisonText writes it for a terminal: what is wanted, with today's settings and with
// the plan's.
func ComparisonText(w io.Writer, c proof.Comparison, style Style) error {
	s := newScreen(style)
	s.para(0, 2, span{"prove", bold},
		text(" on Linux "+c.Kernel+": the wanted workload in a lab, with today's "+
			"settings and with the plan's, in "+seconds(c.Seconds)+" s"))
	s.blank()
	t := table{columns: []column{{head: "WANTED"}, {head: "wanted", right: true},
		{head: "before", right: true}, {head: "after", right: true}, {head: "result"}}}
	for _, d := range c.Comparison {
		t.rows = append(t.rows, comparedRow(d))
	}
	if len(t.rows) > 0 {
		s.table(t)
	}
	for _, d := range c.Comparison {
		s.compared(d)
	}
	s.differing("in the lab", c.Carried)
	s.differing("not in the lab", c.NotCarried)
	s.blank()
	s.line(0, span{"=N predicted by the formula of the limit, ~N measured on this kernel", dim})
	return s.flush(w)
}

func comparedRow(d proof.Compared) []string {
	return []string{d.Direction + " " + d.Subject + ", " + measureWords(d.Measure),
		count(d.Wanted), drivenFigure(d.Before), drivenFigure(d.After), comparedWords(d)}
}

func measureWords(m limit.Measure) string {
	if m == limit.Burst {
		return "at once"
	}
	return string(m)
}

func drivenFigure(d proof.Driven) string {
	if d.Why != "" {
		return "-"
	}
	if d.Predicted == nil {
		return "~" + threeDigits(d.Measured)
	}
	return "~" + threeDigits(d.Measured) + " (=" + count(*d.Predicted) + ")"
}

// comparedWords is what the plan does for a demand.
func comparedWords(d proof.Compared) string {
	switch {
	case cmp.Or(d.Before.Why, d.After.Why) != "":
		return "not measured"
	case d.Before.Met && d.After.Met:
		return "fits already"
	case d.After.Met:
		return "fits with the plan"
	case d.After.Measured > d.Before.Measured*1.02:
		return "better, does not fit"
	}
	return "does not fit"
}

func (s *screen) compared(d proof.Compared) {
	s.blank()
	s.para(0, 2, span{d.Direction + " " + d.Subject, bold},
		text(", "+measureWords(d.Measure)+": "+d.Scaling))
	for _, side := range []struct {
		label string
		proof.Driven
	}{{"before", d.Before}, {"after", d.After}} {
		if side.Why != "" {
			s.labelled(2, side.label, proofColumn, text("not measured: "+side.Why))
		} else if len(side.Errors) > 0 {
			s.labelled(2, side.label, proofColumn,
				text("refused: "+errorCounts(side.Errors)))
		}
	}
}

// errorCounts are errnos and how often, the most frequent first.
func errorCounts(errors map[string]int) string {
	var names []string
	for name := range errors {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(errors[b], errors[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = name + " " + count(int64(errors[name]))
	}
	return strings.Join(names, ", ")
}

func (s *screen) differing(where string, all []proof.Differing) {
	if len(all) == 0 {
		return
	}
	s.blank()
	s.line(0, span{"the plan's changes " + where, bold})
	for _, d := range all {
		words := d.Setting + ": " + d.Before + " -> " + d.After
		if d.Why != "" {
			words += " (" + d.Why + ")"
		}
		s.para(2, 4, text(words))
	}
}

// ComparisonMarkdown writes it as a document to paste into a ticket.
func ComparisonMarkdown(w io.Writer, c proof.Comparison) error {
	m := &markdown{}
	m.heading(1, "Before and after, on Linux "+prose(c.Kernel))
	var rows [][]md
	for _, d := range c.Comparison {
		row := comparedRow(d)
		row = append(row, d.Scaling, errorCounts(d.Before.Errors),
			errorCounts(d.After.Errors))
		rows = append(rows, proseOf(row...))
	}
	m.table([]md{"workload", "wanted:", "before:", "after:", "result", "scaling",
		"refused before", "refused after"}, rows)
	for _, part := range []struct {
		title md
		all   []proof.Differing
	}{{"Carried in the lab", c.Carried}, {"Not carried", c.NotCarried}} {
		if len(part.all) == 0 {
			continue
		}
		m.heading(2, part.title)
		var items []md
		for _, d := range part.all {
			items = append(items, code(d.Setting)+": "+
				prose(strings.TrimSpace(d.Before+" -> "+d.After+" "+d.Why)))
		}
		m.items(items...)
	}
	return m.flush(w)
}
