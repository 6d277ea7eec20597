package render

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

func defaultHost() host.Snapshot {
	var s host.Snapshot
	for name, value := range map[string]string{
		"net.ipv4.ip_local_port_range":     "32768 60999",
		"net.ipv4.ip_local_reserved_ports": "", "net.ipv4.tcp_tw_reuse": "2",
		"net.ipv4.tcp_fin_timeout": "60", "net.ipv4.tcp_timestamps": "1",
		"net.core.somaxconn": "4096",
	} {
		s.Set(host.Sysctl(name), value)
	}
	s.Set(host.System("kernel"), "5.10.0-30-amd64")
	s.Set(host.System("bound-sockets"), "listed")
	s.Set(host.Ports("listening"), "22,443")
	s.Set(host.Ports("bound"), "")
	s.Set(host.Fact{Kind: host.ListenerKind, Name: "0.0.0.0:443"},
		"family=4 queue=0 limit=511 drops=0 pid=9 process=nginx syn=0")
	s.Set(host.Fact{Kind: host.ListenerKind, Name: "0.0.0.0:80"},
		"family=4 queue=0 limit=511 drops=0 pid=9 process=nginx syn=0")
	return s
}

func explained(t *testing.T, query string, s host.Snapshot) (Explanation, string) {
	t.Helper()
	e, ok := Explain(query, s)
	if !ok {
		t.Fatalf("unknown limit, setting or error: %q", query)
	}
	return e, written(t, func(w io.Writer) error {
		return ExplanationText(w, e, Style{Width: 100})
	})
}

// The arithmetic that everybody quotes, and that almost everybody gets wrong.
func TestTheArithmeticOfTimeWait(t *testing.T) {
	_, out := explained(t, "time-wait", defaultHost())
	words := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{"=28,232 ports", "28232 / 60", "=470 connections/s",
		"15000-61000", "766", "1,500", "no sysctl changes it"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestLimitsAreFoundAsPeopleSpellThem(t *testing.T) {
	for _, query := range []string{"time-wait", "TIME_WAIT", "time_wait", "Time Wait",
		" time-wait "} {
		if e, _ := explained(t, query, host.Snapshot{}); len(e.Limits) != 1 ||
			e.Limits[0].ID != "time-wait" {
			t.Errorf("%q: %+v", query, e.Limits)
		}
	}
}

func TestKnobOfSeveralLimits(t *testing.T) {
	e, out := explained(t, "net/core/somaxconn", defaultHost())
	if len(e.Knobs) != 1 || e.Knobs[0].Value != "4096" || len(e.Knobs[0].Uses) < 1 {
		t.Fatalf("%+v", e.Knobs)
	}
	for _, want := range []string{"net.core.somaxconn = 4096\n", "limit accept-queue", "does ",
		"but  "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestKnobThatThisKernelLacks(t *testing.T) {
	for _, c := range []struct{ kernel, since, until, want string }{
		{"5.10.0-30-amd64", "6.14", "", "it came with Linux 6.14, this is 5.10.0-30-amd64"},
		{"6.14.0", "6.14", "", ""},
		{"6.18.44", "", "4.12", "it is gone since Linux 4.12, this is 6.18.44"},
		{"4.9.0", "", "4.12", ""}, {"4.12", "", "4.12",
			"it is gone since Linux 4.12, this is 4.12"},
		{"", "6.14", "", ""}, {"unknown", "6.14", "4.12", ""}, {"6.2", "4.20", "", ""},
	} {
		kernel, _ := host.ParseRelease(c.kernel)
		if have := lacks(kernel, since(t, c.since), since(t, c.until)); have != c.want {
			t.Errorf("%+v: %q", c, have)
		}
	}
}

func since(t *testing.T, version string) knob.Span {
	t.Helper()
	if version == "" {
		return knob.Span{}
	}
	v, err := host.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	return knob.Since(v.Major, v.Minor)
}

func TestSignWithAPort(t *testing.T) {
	for _, text := range []string{"possible SYN flooding on port 443",
		"TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:443. Sending " +
			"cookies."} {
		e, ok := Explain(text, defaultHost())
		if !ok || e.Signs[0].Limit != "syn-queue" || e.Signs[0].OnHost.Port != "443" {
			t.Fatalf("%q: %+v", text, e.Signs)
		}
		h := e.Signs[0].OnHost
		if len(h.Subjects) != 1 || !strings.HasSuffix(h.Subjects[0].Subject, ":443") {
			t.Errorf("%q: %+v", text, h)
		}
	}
	if _, out := explained(t, "possible SYN flooding on port 99",
		defaultHost()); !strings.Contains(out, "nothing listens on port 99") {
		t.Error(out)
	}
}

func TestWithoutFigures(t *testing.T) {
	e, _ := Explain("ephemeral-ports", host.Snapshot{})
	e.NoFigures = "sock_diag: operation not permitted"
	out := written(t, func(w io.Writer) error {
		return ExplanationText(w, e, Style{Width: 100})
	})
	if !strings.Contains(out, "no figures: sock_diag: operation not permitted") ||
		!strings.Contains(out, "FORMULA") {
		t.Error(out)
	}
}

// Whatever the catalogue holds can be explained in every form, and all of it stands in the
// document.
func TestWholeCatalogue(t *testing.T) {
	docs := written(t, func(w io.Writer) error { return LimitsDoc(w, limit.Catalogue()) })
	if docs != written(t, func(w io.Writer) error { return LimitsDoc(w, limit.Catalogue()) }) {
		t.Error("the document differs from one run to the next")
	}
	for _, l := range limit.Catalogue() {
		e, _ := explained(t, string(l.ID), defaultHost())
		raw := written(t, func(w io.Writer) error { return ExplanationJSON(w, e) })
		var back Explanation
		if err := json.Unmarshal([]byte(raw), &back); err != nil ||
			back.Schema != ExplanationSchema || strings.Contains(raw, "null") {
			t.Errorf("%s: JSON: %v\n%s", l.ID, err, raw)
		}
		id := string(l.ID)
		if !strings.Contains(docs, "\n## "+id+"\n") ||
			!strings.Contains(docs, "["+id+"](#"+id+")") {
			t.Errorf("%s has no section or no entry", l.ID)
		}
		written(t, func(w io.Writer) error { return ExplanationMarkdown(w, e) })
		for _, k := range l.Knobs {
			if e, ok := Explain(k, defaultHost()); !ok || len(e.Knobs) == 0 {
				t.Errorf("%s: knob %q is not found by its name", l.ID, k)
			}
		}
		for _, s := range l.Signs {
			if found := limit.FindSigns(strings.ReplaceAll(s.Text, "…",
				" 443 ")); s.Text != "" && !has(found, l, s) {
				t.Errorf("%s: sign %q is not found by its text: %+v", l.ID, s.Text,
					found)
			}
		}
	}
}

func has(found []limit.SignMatch, l *limit.Limit, s limit.Sign) bool {
	for _, m := range found {
		if m.Limit == l && (m.Sign == s || m.Sign.Call == s.Call) {
			return true
		}
	}
	return false
}

func TestCatalogueList(t *testing.T) {
	c := ListCatalogue(limit.Catalogue())
	for _, width := range []int{40, 60, 100} {
		out := written(t, func(w io.Writer) error {
			return CatalogueText(w, c, Style{Width: width})
		})
		for _, want := range []string{"ephemeral-ports", "net.core.somaxconn",
			"EADDRNOTAVAIL"} {
			if !strings.Contains(out, want) {
				t.Errorf("width %d: no %s in\n%s", width, want, out)
			}
		}
		for line := range strings.Lines(out) {
			if len(strings.TrimSuffix(line, "\n")) > width {
				t.Errorf("width %d: %q", width, line)
			}
		}
	}
}
