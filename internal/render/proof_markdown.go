package render

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

// ProofMarkdown writes proofs as a document to paste into a ticket.
func ProofMarkdown(w io.Writer, r proof.Report) error {
	m := &markdown{}
	m.heading(1, "Proofs on Linux "+prose(r.Kernel))
	m.paragraph(prose(proofCounts(r) + ", in " + seconds(r.Seconds) + " s, on " + plural(r.CPUs,
		"CPU") + ", as " + r.User + "."))
	var rows [][]md
	for _, p := range r.Proofs {
		cells := proseOf(predictedFigure(p), measuredFigure(p), ran(p, p.Unit),
			string(p.Verdict)+because(p), seconds(p.Seconds))
		rows = append(rows, append([]md{claimed(p)}, cells...))
	}
	m.table([]md{"claim", "predicted:", "measured:", "unit", "verdict", "s:"}, rows)
	return m.flush(w)
}

// claimed is the claim behind its name.
func claimed(p proof.Proof) md { return code(p.ID) + ": " + prose(p.Claim) }

func because(p proof.Proof) string {
	if p.Why == "" {
		return ""
	}
	return ": " + p.Why
}

// ProofsDoc writes docs/proofs.md: claims down, kernels across, measured figures in the cells.
func ProofsDoc(w io.Writer, reports []proof.Report) error {
	m := &markdown{}
	m.heading(1, "Proofs")
	m.paragraph("Each claim was tried on each kernel by `maxconn-proofs`: predicted by the " +
		"formula of the limit, measured with real sockets, with a " +
		"control run without the cause. A cell is the measured figure where the claim " +
		"holds; `differs` shows predicted and measured; - is a trial that could not run, " +
		"for the reason at the end. Debian's kernels ran in virtual machines " +
		"without hardware support, where the processor is some ten times slower: " +
		"figures of time are the kernel's own timers, never its speed.")
	m.paragraph("This page is written by `scripts/proofs.sh`; `maxconn prove ID` repeats a " +
		"row on the running kernel, `maxconn prove --list` says which need a machine " +
		"of their own.")
	heads, sums := []md{"claim", "unit"}, []md{}
	for _, r := range reports {
		heads = append(heads, "Linux "+prose(r.Kernel)+":")
		sums = append(sums, "Linux "+
			prose(r.Kernel+": "+proofCounts(r)+", in "+seconds(r.Seconds)+" s."))
	}
	m.items(sums...)
	byLimit := map[string][][]md{}
	var limits []string
	for _, p := range everyClaim(reports) {
		if _, ok := byLimit[p.Limit]; !ok {
			limits = append(limits, p.Limit)
		}
		row := []md{claimed(p), prose(p.Unit)}
		for _, r := range reports {
			row = append(row, prose(cell(r, p.ID)))
		}
		byLimit[p.Limit] = append(byLimit[p.Limit], row)
	}
	slices.Sort(limits)
	for _, id := range limits {
		m.heading(2, prose(cmp.Or(id, "others")))
		m.table(heads, byLimit[id])
	}
	m.heading(2, "Different from kernel to kernel")
	m.items(versionWords(reports)...)
	m.heading(2, "Could not run")
	m.items(couldNotRun(reports)...)
	return m.flush(w)
}

// versionWords are the claims that hold with another figure on another kernel, or with a
// word of explanation there.
func versionWords(reports []proof.Report) (words []md) {
	for _, p := range everyClaim(reports) {
		low, high := math.Inf(1), math.Inf(-1)
		var each []string
		for _, r := range reports {
			for _, q := range r.Proofs {
				if q.ID == p.ID && q.Verdict == proof.Holds {
					low, high = min(low, q.Measured), max(high, q.Measured)
					each = append(each, threeDigits(q.Measured)+" on "+r.Kernel)
				}
			}
		}
		if len(each) > 1 && high > low*1.05 && high-low >= 1 {
			words = append(words,
				code(p.ID)+" "+prose("("+p.Unit+"): "+strings.Join(each, ", ")))
		}
	}
	if len(words) == 0 {
		return []md{"Nothing: each figure is the same on each kernel."}
	}
	return words
}

// everyClaim is each claim of any report once, in the order of the first that has it.
func everyClaim(reports []proof.Report) (all []proof.Proof) {
	seen := map[string]bool{}
	for _, r := range reports {
		for _, p := range r.Proofs {
			if !seen[p.ID] {
				seen[p.ID] = true
				all = append(all, p)
			}
		}
	}
	return all
}

func cell(r proof.Report, id string) string {
	i := slices.IndexFunc(r.Proofs, func(p proof.Proof) bool { return p.ID == id })
	if i < 0 {
		return ""
	}
	switch p := r.Proofs[i]; p.Verdict {
	case proof.Holds:
		return threeDigits(p.Measured)
	case proof.Differs:
		return "differs: " + predictedFigure(p) + ", " + measuredFigure(p)
	}
	return "-"
}

func couldNotRun(reports []proof.Report) (words []md) {
	for _, r := range reports {
		for _, p := range r.Proofs {
			if p.Verdict == proof.CouldNotRun {
				words = append(words,
					"Linux "+prose(r.Kernel)+", "+code(p.ID)+": "+prose(p.Why))
			}
		}
	}
	if len(words) == 0 {
		return []md{"Nothing: each claim ran on each kernel."}
	}
	return words
}

// ProofsSchema names the JSON form of the reports of several kernels.
const ProofsSchema = "maxconn.proofs/1"

// Proofs is the reports of several kernels, in the order asked for.
type Proofs struct {
	Schema  string         `json:"schema"`
	Reports []proof.Report `json:"reports"`
}

// ProofsJSON writes the reports of several kernels in their stable form.
func ProofsJSON(w io.Writer, reports []proof.Report) error {
	return writeJSON(w, Proofs{ProofsSchema, reports})
}

// ProofsText writes claims down and kernels across, and what differs or could not run below.
func ProofsText(w io.Writer, reports []proof.Report, style Style) error {
	s := newScreen(style)
	t := table{columns: []column{{head: "CLAIM"}, {head: "unit"}}}
	for _, r := range reports {
		s.para(0, 2, span{"Linux " + r.Kernel, bold},
			text(": "+proofCounts(r)+", in "+seconds(r.Seconds)+" s"))
		t.columns = append(t.columns, column{head: r.Kernel, right: true})
	}
	for _, p := range everyClaim(reports) {
		row := []string{p.ID, p.Unit}
		for _, r := range reports {
			row = append(row, cell(r, p.ID))
		}
		t.rows = append(t.rows, row)
	}
	s.blank()
	if len(t.rows) > 0 {
		s.table(t)
	}
	for _, r := range reports {
		if r.Count(proof.Holds) < len(r.Proofs) || style.Verbose {
			s.blank()
			s.line(0, span{"Linux " + r.Kernel, bold})
			s.proofDetails(r)
		}
	}
	return s.flush(w)
}
