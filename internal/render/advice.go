package render

import (
	"io"
	"strings"

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
	t := table{columns: []column{{head: "STEP", wraps: true}, {head: "predicted/s", right: true},
		{head: "measured/s", right: true},
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
