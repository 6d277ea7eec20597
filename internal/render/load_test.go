package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/load/result"
)

func loadReport() *result.Report {
	five := int64(4130)
	cpu := 31.24
	return &result.Report{
		Schema: result.Schema, Role: "connect", Mode: result.Churn,
		Target: "127.0.0.1:7000", Close: result.ClientRST, Attempted: 2003,
		Established: 2000, Seconds: 0.5, Rate: 4000,
		Failures: []result.Failure{{Phase: result.AtConnect, Errno: "ECONNREFUSED",
			Count: 3, First: 0.5, Open: 12}},
		SYNSteps: []result.SYNStep{{Seconds: 1, Retransmits: 1, Connections: 7}},
		Connect: result.Times{
			Seen: 2000,
			P50:  20,
			P999: 1500,
			Max:  2e6,
			Buckets: []result.Bucket{{UpTo: 32, Count: 1999},
				{UpTo: 2097152, Count: 1}},
		},
		Bytes: result.BytesPer{Kernel: &five, User: &five, UserTotal: 64 << 20},
		CPU:   &cpu,
		Counters: []result.Moved{{Name: "TcpExt.ListenOverflows", By: 1234},
			{Name: "TcpExt.TCPPureAcks", By: 5}},
		Before: &result.Sockstat{}, After: &result.Sockstat{Inuse: 1},
		Missed: []string{"failures: 3"},
		Series: []result.Sample{{Seconds: 0.25, Established: 1000, PerSecond: 4000},
			{Seconds: 0.5, Established: 2000, PerSecond: 4000, Failed: 3}},
		Tables: 2, FileLimit: 20000, BoundBy: "accept-queue",
		Because: "127.0.0.1:7000: a name\x1b[31m",
	}
}

func TestLoadText(t *testing.T) {
	for _, width := range []int{40, 80, 120} {
		var b strings.Builder
		if err := LoadText(&b, loadReport(), Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for line := range strings.Lines(text) {
			if len(line) > width+1 {
				t.Errorf("width %d: %q", width, line)
			}
		}
		joined := strings.Join(strings.Fields(text), " ")
		for _, want := range []string{
			"churn to 127.0.0.1:7000, as fast as possible, closed by rst: the goal " +
				"was not met", "missed failures: 3",
			"2,000 of 2,003 attempted, in 500ms: 4,000/s",
			"3 at connect: ECONNREFUSED, the first after 0.5 s with 12 open",
			"7 connections after 1 s", "p50 20.0 us", "p99.9 1.5 ms max 2.00 s",
			"ListenOverflows +1,234", "31.2 us for each " +
				"connection, at this end",
		} {
			if !strings.Contains(joined, want) {
				t.Errorf("width %d: no %q in\n%s", width, want, text)
			}
		}
		if strings.ContainsRune(text, '\x1b') || strings.Contains(text, "PureAcks") {
			t.Errorf("%q", text)
		}
	}
}

func TestLoadForms(t *testing.T) {
	r := loadReport()
	var table, doc, page bytes.Buffer
	for _, err := range []error{LoadCSV(&table, r), LoadJSON(&doc, r), LoadHTML(&page, r)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := csv.NewReader(&table).ReadAll(); err != nil || len(rows) != 3 ||
		rows[1][5] != "4000.0" {
		t.Errorf("%q, %v", rows, err)
	}
	var back result.Report
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil ||
		back.Established != r.Established || back.Schema != "maxconn.load/1" ||
		*back.CPU != *r.CPU {
		t.Errorf("%+v %v", back, err)
	}
	for _, key := range []string{"attempted", "established", "peak_open", "rate", "errors",
		"connect_us", "p50", "p99", "max", "bytes_per_connection", "kernel", "user",
		"bound_by", "goal_met"} {
		if !bytes.Contains(doc.Bytes(), []byte(`"`+key+`"`)) {
			t.Errorf("no %s", key)
		}
	}
	if text := page.String(); strings.Count(text, "<svg") != 4 ||
		!strings.Contains(text, "<polyline") || strings.Count(text, `class="bar"`) != 2 ||
		strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "<script") {
		t.Error(text)
	}
}

// Empty lists are lists in JSON.
func TestLoadJSONHasNoNullLists(t *testing.T) {
	var b bytes.Buffer
	if err := LoadJSON(&b, &result.Report{}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"failures", "missed", "syn_retransmits", "counters",
		"series"} {
		if !strings.Contains(b.String(), `"`+key+`": []`) {
			t.Errorf("%s in %s", key, &b)
		}
	}
}

// What was not measured is left out; it is not zero.
func TestLoadTextLeavesOut(t *testing.T) {
	r := loadReport()
	r.Bytes.Kernel = nil
	r.Server = &result.Report{Role: "serve", Established: 61440}
	var b strings.Builder
	if err := LoadText(&b, r, Style{Width: 200}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"memory         4,130 bytes of this program for each " +
		"connection; the program has 64 MiB\n", "server         61,440 accepted\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestLoadLine(t *testing.T) {
	got := LoadLine(result.Sample{
		Seconds:     3,
		Established: 12345,
		PerSecond:   4000.4,
		Open:        12,
		Failed:      3,
		Free:        5 << 20,
	})
	if got != "3 s: 12,345 established, 4,000/s, 12 open, 3 failed, 5 MiB free" {
		t.Error(got)
	}
}

// A histogram is well-formed, and a rare time can be seen beside a common one.
func TestBars(t *testing.T) {
	svg := Plot{Title: "a & b", Bars: []Bar{{"1", 1e9, "many"}, {"2", 1, "one"},
		{"3", 0, "none"}}}.SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	var heights []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "height" {
					heights = append(heights, a.Value)
				}
			}
		}
	}
	if len(heights) != 3 || heights[1] != "1.0" || heights[2] != "0.0" {
		t.Errorf("heights %q", heights)
	}
}
