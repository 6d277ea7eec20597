package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

func proofSample() proof.Report {
	level := 60.0
	return proof.Report{
		Schema: proof.Schema, Kernel: "6.1.0", CPUs: 2, User: "root", Seconds: 61.2,
		Proofs: []proof.Proof{
			{ID: "accept-queue-length", Limit: "accept-queue",
				Claim: "a queue takes one more", Predicted: 8, Low: 8, High: 8,
				Measured: 8, Unit: "connections",
				Verdict: proof.Holds, Formula: "7 + 1 = 8",
				Source: "sk_acceptq_is_full", Seconds: 0.1,
				Evidence: []proof.Check{{What: "overflows", Want: "at least 1",
					Got: "5", OK: true}},
				Control: []proof.Check{{What: "overflows", Want: "0", Got: "0",
					OK: true}}},
			{ID: "time-wait-length", Limit: "time-wait",
				Claim: "TIME_WAIT lasts 60 s <b>", Predicted: 60, Low: 60, High: 62,
				Measured: 30.25, Unit: "s",
				Verdict: proof.Differs, Why: "measured and predicted do not agree",
				Source: "tcp_time_wait", Seconds: 61,
				Series: []proof.Series{{
					Name:   "TIME_WAIT",
					X:      "s",
					Y:      "sockets",
					Points: []proof.Point{{X: 0, Y: 100}, {X: 30, Y: 0}},
					Marks:  []proof.Mark{{Name: "predicted", X: &level}},
				}}},
			{
				ID:      "orphans-most",
				Limit:   "orphans",
				Claim:   "orphans are reset",
				Unit:    "connections",
				Verdict: proof.CouldNotRun,
				Why:     "host-wide",
				Source:  "tcp_close",
			},
		},
	}
}

func TestProofText(t *testing.T) {
	var b bytes.Buffer
	if err := ProofText(&b, proofSample(), Style{Width: 120}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1 claim holds, 1 differs, 1 not run, in 61.2 s",
		"accept-queue-length  accept-queue         =8        ~8  holds     0.1  " +
			"connections",
		"=60-62     ~30.2  differs  61.0  s",
		"DIFFERS  time-wait-length: TIME_WAIT lasts 60 s <b>",
		"why       host-wide",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "control") {
		t.Errorf("a claim that holds is told in full without --verbose:\n%s", b.String())
	}
}

// JSON keeps every field, and the arrays of a proof that could not run are empty, not null.
func TestProofJSON(t *testing.T) {
	var b bytes.Buffer
	if err := ProofJSON(&b, proofSample()); err != nil {
		t.Fatal(err)
	}
	var back proof.Report
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Schema != "maxconn.proof/1" || back.Proofs[1].Measured != 30.25 ||
		back.Proofs[1].Series[0].Points[1].X != 30 {
		t.Errorf("read back %+v", back)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("null in\n%s", b.String())
	}
}

func TestProofHTML(t *testing.T) {
	var b bytes.Buffer
	if err := ProofHTML(&b, proofSample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg ", "&lt;b&gt;", `class="differs"`, "=60-62",
		`id="time-wait-length"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, never := range []string{"http://www.w3.org/1999", "src=", "<script", "<link"} {
		if strings.Contains(b.String(), never) {
			t.Errorf("the page loads something: %s", never)
		}
	}
}

func TestProofsDoc(t *testing.T) {
	one, two := proofSample(), proofSample()
	two.Kernel = "6.18.1"
	two.Proofs[1].Verdict, two.Proofs[1].Measured = proof.Holds, 60.5
	two.Proofs = two.Proofs[:2]
	var b bytes.Buffer
	if err := ProofsDoc(&b, []proof.Report{one, two}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| claim | unit | Linux 6.1.0 | Linux 6.18.1 |",
		"| `time-wait-length`: TIME_WAIT lasts 60 s \\<b\\> | s | differs: =60-62, " +
			"~30.2 | 60.5 |",
		"- Linux 6.1.0, `orphans-most`: host-wide",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
