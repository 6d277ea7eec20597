package render

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// A large report has the same form as a small one, byte for byte.
func TestJSONInPieces(t *testing.T) {
	var r diagnose.Report
	for i := range manySubjects {
		name := strconv.Itoa(i) + "\n  \"findings\": []\u202e"
		r.Findings = append(r.Findings, diagnose.Finding{Subject: name})
		r.Capacity.Inbound = append(r.Capacity.Inbound, diagnose.Inbound{Listener: name})
		for _, c := range []diagnose.Report{r, {Findings: r.Findings},
			{Capacity: r.Capacity, Host: diagnose.Host{Name: name}}} {
			var whole, pieces bytes.Buffer
			if err := writeJSON(&whole, c); err != nil {
				t.Fatal(err)
			}
			if err := JSON(&pieces, c); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
				t.Fatalf("%d findings: %q, want %q", i+1, &pieces, &whole)
			}
		}
	}
}
