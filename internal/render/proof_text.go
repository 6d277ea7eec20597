package render

import (
	"cmp"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// ProofJSON writes proofs in their stable form.
func ProofJSON(w io.Writer, r proof.Report) error { return writeJSON(w, r) }

// ProofText writes proofs for a terminal, a limit at a time. Formula, evidence and control runs
// are shown where the style is verbose, or where they speak against the claim.
func ProofText(w io.Writer, r proof.Report, style Style) error {
	s := newScreen(style)
	s.para(0, 2, span{"prove", bold},
		text(" on Linux "+r.Kernel+", "+plural(r.CPUs, "CPU")+", as "+r.User+": "+
			proofCounts(r)+", in "+seconds(r.Seconds)+" s"))
	if len(r.Proofs) > 0 {
		s.blank()
		s.table(proofTable(r))
	}
	s.blank()
	s.proofDetails(r)
	s.para(0, 2, span{"=N predicted by the formula of the limit (maxconn explain LIMIT), ~N " +
		"measured on this kernel", dim})
	return s.flush(w)
}

// proofCounts is the sum of a report in words.
func proofCounts(r proof.Report) string {
	words := plural(r.Count(proof.Holds), "claim") + " hold"
	if r.Count(proof.Holds) == 1 {
		words += "s"
	}
	if n := r.Count(proof.Differs); n > 0 {
		words += ", " + count(int64(n)) + " differ"
		if n == 1 {
			words += "s"
		}
	}
	if n := r.Count(proof.CouldNotRun); n > 0 {
		words += ", " + count(int64(n)) + " not run"
	}
	return words
}

func proofTable(r proof.Report) table {
	t := table{columns: []column{{head: "CLAIM", wraps: true}, {head: "limit", spare: true},
		{head: "predicted", right: true}, {head: "measured", right: true},
		{head: "verdict"}, {head: "s", right: true},
		{head: "unit", wraps: true, spare: true}}}
	for _, p := range r.Proofs {
		t.rows = append(t.rows, []string{p.ID, p.Limit, predictedFigure(p),
			measuredFigure(p), verdictWords(p.Verdict), seconds(p.Seconds),
			ran(p, p.Unit)})
	}
	return t
}

// ran is the words, or nothing for a trial without a result.
func ran(p proof.Proof, words string) string {
	if p.Verdict == proof.CouldNotRun {
		return ""
	}
	return words
}

// predictedFigure is the figure, or the range where a range agrees with it.
func predictedFigure(p proof.Proof) string {
	if p.Low == p.Predicted && p.High > p.Low {
		return ran(p, "="+threeDigits(p.Low)+"-"+threeDigits(p.High))
	}
	return ran(p, "="+threeDigits(p.Predicted))
}

func measuredFigure(p proof.Proof) string { return ran(p, "~"+threeDigits(p.Measured)) }

// threeDigits is a figure with three digits that matter, whole from 100 on.
func threeDigits(v float64) string {
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		return figure.Count(int64(math.Round(v)))
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func seconds(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// proofDetails says what each claim is and what speaks against it.
func (s *screen) proofDetails(r proof.Report) {
	for _, p := range r.Proofs {
		if p.Verdict == proof.Holds && !s.style.Verbose {
			continue
		}
		s.para(0, 2, span{strings.ToUpper(verdictWords(p.Verdict)), proofPaint(p.Verdict)},
			text("  "), span{p.ID, bold}, text(": "+p.Claim))
		if p.Why != "" {
			s.labelled(2, "why", proofColumn, text(p.Why))
		}
		if p.Verdict != proof.CouldNotRun {
			s.proofChecks(p)
		}
		s.labelled(2, "source", proofColumn, span{p.Source, dim})
		s.blank()
	}
}

// proofColumn is where the words of a detail begin.
const proofColumn = 12

func (s *screen) proofChecks(p proof.Proof) {
	if p.Formula != "" {
		s.labelled(2, "formula", proofColumn, text(p.Formula))
	}
	if p.Note != "" {
		s.labelled(2, "note", proofColumn, text(p.Note))
	}
	for _, c := range p.Evidence {
		s.proofCheck("evidence", c)
	}
	for _, c := range p.Control {
		s.proofCheck("control", c)
	}
}

func (s *screen) proofCheck(label string, c proof.Check) {
	if c.OK {
		s.labelled(2, label, proofColumn, text(c.What+": "+c.Got))
		return
	}
	s.labelled(2, label, proofColumn, text(c.What+": "), span{c.Got, red},
		text(", expected "+c.Want))
}

// verdictWords is a verdict on a screen.
func verdictWords(v proof.Verdict) string {
	if v == proof.CouldNotRun {
		return "not run"
	}
	return string(v)
}

func proofPaint(v proof.Verdict) paint {
	switch v {
	case proof.Holds:
		return green
	case proof.Differs:
		return red
	}
	return yellow
}

// Claims lists claims for a terminal.
func Claims(w io.Writer, claims []proof.Listed, style Style) error {
	s := newScreen(style)
	of := "-"
	for _, c := range claims {
		if c.Limit != of {
			of = c.Limit
			s.blank()
			s.line(0, span{cmp.Or(of, "others"), bold})
		}
		s.para(2, 6, text(c.ID), span{claimTier(c), dim}, text(": "+c.Says))
	}
	return s.flush(w)
}

// ClaimsJSON lists the claims in a stable form.
func ClaimsJSON(w io.Writer, claims []proof.Listed) error {
	return writeJSON(w, struct {
		Schema string         `json:"schema"`
		Claims []proof.Listed `json:"claims"`
	}{"maxconn.claims/1", claims})
}

// claimTier is when a claim runs, "" for the fast set.
func claimTier(c proof.Listed) string {
	switch {
	case c.Machine:
		return " (maxconn-proofs)"
	case c.Slow:
		return " (--all)"
	}
	return ""
}
