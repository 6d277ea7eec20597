package render

import (
	"io"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

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
