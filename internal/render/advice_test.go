package render

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

func adviceSample() proof.AdviceReport {
	predicted := 129.0
	return proof.AdviceReport{Schema: proof.Schema, Kernel: "6.1.0", Seconds: 80,
		Scaling: "a 64th", Advice: []proof.Advised{
			{Step: "tcp_fin_timeout 30",
				Recipe:  []string{"sysctl -w net.ipv4.tcp_fin_timeout=30"},
				Promise: "1,533 connections/s", Model: "ends orphaned " +
					"FIN_WAIT_2 only",
				Predicted: proof.Flow{PerSecond: 766, Held: 46001},
				Measured:  proof.Flow{PerSecond: 754, Held: 46016},
				Verdict:   proof.NoEffect, Why: "754 before and after"},
			{Step: "somaxconn 1024", Promise: "a longer queue", Model: "min + 1",
				Predicted: proof.Flow{PerSecond: 766, Held: 46001},
				Measured:  proof.Flow{PerSecond: 754, Held: 46016},
				Figures: []proof.Figure{{
					What:      "queue",
					Unit:      "connections",
					Predicted: &predicted,
					Without:   4097,
					Measured:  129,
				}}, Verdict: proof.Harmful},
			{
				Step:    "tcp_tw_recycle 1",
				Promise: "none",
				Model:   "gone",
				Verdict: proof.Untried,
				Why:     "no lab",
			},
		}}
}

func comparisonSample() proof.Comparison {
	before, after := int64(470), int64(900)
	return proof.Comparison{Schema: proof.Schema, Kernel: "6.1.0", Seconds: 96,
		Comparison: []proof.Compared{
			{Subject: "10.0.0.9:5432", Direction: "outbound", Measure: limit.PerSecond,
				Wanted: 900, Scale: 30, Scaling: "30 times smaller",
				Before: proof.Driven{
					Measured:  451,
					Predicted: &before,
					Errors: map[string]int{"EMFILE": 2,
						"EADDRNOTAVAIL": 927},
				}, After: proof.Driven{Measured: 900, Predicted: &after,
					Met: true}},
			{
				Subject:   ":443",
				Direction: "inbound",
				Measure:   limit.Burst,
				Wanted:    20,
				Before:    proof.Driven{Why: "nothing listens"},
				After:     proof.Driven{Why: "nothing listens"},
			},
		},
		Carried: []proof.Differing{{Setting: "net.ipv4.ip_local_port_range",
			Before: "32768 60999", After: "6136 65535"}}}
}

// said is what a renderer writes.
func said(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func says(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestAdvice(t *testing.T) {
	r := adviceSample()
	says(t, said(t, func(w io.Writer) error { return AdviceText(w, r, Style{Width: 100}) }),
		"tcp_fin_timeout 30         =766        ~754  ~46,016  no-effect",
		"queue: ~129 connections (=129 predicted), ~4,097 without the step",
		"somaxconn 1024: harmful", "measured  no lab")
	says(t, said(t, func(w io.Writer) error {
		return AdviceMarkdown(w, r)
	}), "| tcp_fin_timeout 30 | 1,533 connections/s | ends orphaned FIN_WAIT_2 only | =766 "+
		"| ~754 | ~46,016 | no-effect |")
	var back proof.AdviceReport
	if err := json.Unmarshal([]byte(said(t, func(w io.Writer) error {
		return AdviceJSON(w, r)
	})), &back); err != nil || back.Advice[0].Measured.Held != 46016 {
		t.Errorf("%v, read back %+v", err, back)
	}
}

func TestComparison(t *testing.T) {
	c := comparisonSample()
	says(t, said(t, func(w io.Writer) error { return ComparisonText(w, c, Style{Width: 100}) }),
		"outbound 10.0.0.9:5432, per second     900  ~451 (=470)  ~900 (=900)  fits "+
			"with the plan",
		"refused: EADDRNOTAVAIL 927, EMFILE 2", "not measured: nothing listens",
		"net.ipv4.ip_local_port_range: 32768 60999 -> 6136 65535")
	says(t, said(t, func(w io.Writer) error {
		return ComparisonMarkdown(w, c)
	}), "| outbound 10.0.0.9:5432, per second | 900 | ~451 (=470) | ~900 (=900) | fits "+
		"with the plan |")
	var back proof.Comparison
	if err := json.Unmarshal([]byte(said(t, func(w io.Writer) error {
		return ComparisonJSON(w, c)
	})), &back); err != nil || *back.Comparison[0].After.Predicted != 900 {
		t.Errorf("%v, read back %+v", err, back)
	}
}
