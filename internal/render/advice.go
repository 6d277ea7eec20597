package render

import (
	"io"
	"strings"

	"github.com/maxconn/maxconn/internal/prove"
)

// AdviceJSON writes what became of the popular recipe in its stable form.
func AdviceJSON(w io.Writer, r prove.AdviceReport) error { return writeJSON(w, r) }

// AdviceText writes the recipe for a terminal, one step after the other: promise, model, measurement, verdict.
func AdviceText(w io.Writer, r prove.AdviceReport, style Style) error {
	s := newScreen(style)
	s.para(0, 2, span{"prove advice", bold}, text(" on Linux "+r.Kernel+": the popular recipe, each step on top of those before it, in "+seconds(r.Seconds)+" s"))
	s.para(0, 2, span{r.Scaling, dim})
	s.blank()
	t := table{columns: []column{{head: "STEP"}, {head: "predicted/s", right: true}, {head: "measured/s", right: true},
		{head: "held", right: true}, {head: "verdict"}}}
	for _, a := range r.Advice {
		t.rows = append(t.rows, append(adviceFigures(a), string(a.Verdict)))
	}
	s.table(t)
	for _, a := range r.Advice {
		s.advised(a)
	}
	s.blank()
	s.line(0, span{"connections/s sustained to one destination, and connections held; =N predicted, ~N measured", dim})
	return s.flush(w)
}

// adviceFigures are a step's cells without the verdict.
func adviceFigures(a prove.Advised) []string {
	if a.Verdict == prove.Untried {
		return []string{a.Step, "", "", ""}
	}
	return []string{a.Step, "=" + threeDigits(a.Predicted.PerSecond), "~" + threeDigits(a.Measured.PerSecond), "~" + count(a.Measured.Held)}
}

// advised is one step in words.
func (s *screen) advised(a prove.Advised) {
	s.blank()
	s.para(0, 2, span{a.Step, bold}, text(": "), span{string(a.Verdict), advicePaint(a.Verdict)})
	for _, line := range a.Recipe {
		s.para(2, 4, span{line, dim})
	}
	s.labelled(2, "promise", proofColumn, text(a.Promise))
	s.labelled(2, "model", proofColumn, text(a.Model))
	for _, f := range a.Figures {
		s.labelled(2, "measured", proofColumn, text(f.What+": ~"+threeDigits(f.Measured)+" "+f.Unit+foretold(f)+", ~"+threeDigits(f.Without)+" without the step"))
	}
	if a.Why != "" && (len(a.Figures) == 0 || a.Verdict == prove.Untried) {
		s.labelled(2, "measured", proofColumn, text(a.Why))
	}
}

func foretold(f prove.Figure) string {
	if f.Predicted == nil {
		return ""
	}
	return " (=" + threeDigits(*f.Predicted) + " predicted)"
}

func advicePaint(e prove.Effect) paint {
	switch e {
	case prove.Helps:
		return green
	case prove.Harmful, prove.Gone:
		return red
	case prove.NoEffect, prove.Untried:
		return yellow
	}
	return plain
}

// AdviceMarkdown writes the recipe as a table to paste.
func AdviceMarkdown(w io.Writer, r prove.AdviceReport) error {
	m := &markdown{}
	m.heading(1, "The popular recipe on Linux "+prose(r.Kernel))
	m.paragraph("Each step on top of those before it; " + prose(r.Scaling) + ".")
	var rows [][]md
	for _, a := range r.Advice {
		figures := adviceFigures(a)
		rows = append(rows, proseOf(figures[0], a.Promise, a.Model, figures[1], figures[2], figures[3], string(a.Verdict), adviceExtras(a)))
	}
	m.table([]md{"step", "the recipe promises", "the kernel's source says", "predicted/s:", "measured/s:", "held:", "verdict", "also measured"}, rows)
	return m.flush(w)
}

func adviceExtras(a prove.Advised) string {
	var words []string
	for _, f := range a.Figures {
		words = append(words, f.What+": "+threeDigits(f.Measured)+" "+f.Unit+", "+threeDigits(f.Without)+" without")
	}
	return strings.Join(words, "; ")
}
