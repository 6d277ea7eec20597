package page

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/live"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// server knows a full accept queue of a process.
func server(t *testing.T, process string) (*live.State, *httptest.Server) {
	t.Helper()
	state := live.New(live.Options{})
	enter(state, "host", process, 6)
	mux := http.NewServeMux()
	Add(func() time.Time { return now })(mux, state)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return state, s
}

func enter(state *live.State, name, process string, queue int64) {
	s := host.Snapshot{}
	s.Set(host.Fact{Kind: host.ListenerKind, Name: "10.0.0.1:80"}, host.Fields{}.
		Add("process", process).AddInt("pid", 7).AddInt("limit", 5).AddInt("queue", queue).
		AddInt("inode", 1).AddInt("drops", 9).Add("oldest", "10s").Add("youngest", "2s").
		String())
	s.Set(host.Counter("TcpExt.ListenOverflows"), "9")
	r, gauges := diagnose.CheckAll(s, diagnose.Options{})
	state.Enter(now, live.Survey{Key: name, Name: name, Own: name == "host", Snapshot: s,
		Report: r, Gauges: gauges})
	state.Surveyed(now, time.Millisecond)
}

func get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b strings.Builder
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		b.WriteString(lines.Text() + "\n")
	}
	return r.StatusCode, r.Header, b.String()
}

// A process whose name is a script is shown by its name, and runs nothing.
func TestScriptInAName(t *testing.T) {
	const name = `<script>alert(1)</script>"onload='x`
	_, s := server(t, name)
	code, header, text := get(t, s.URL+"/")
	if code != http.StatusOK ||
		!strings.Contains(header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("status %d, header %v", code, header)
	}
	document, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	shown := false
	for n := range document.Descendants() {
		if n.Type == html.TextNode && strings.Contains(n.Data, name) {
			shown = true
		}
		if n.Type == html.ElementNode && n.Data == "script" &&
			(n.FirstChild != nil || n.Attr[0].Val != "page.js") {
			t.Errorf("a script that is not ours: %+v", n)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || strings.Contains(a.Val, "://") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	if !shown {
		t.Errorf("the name is not shown:\n%s", text)
	}
}

// Each namespace has its page; one that nobody knows has none.
func TestNamespaces(t *testing.T) {
	state, s := server(t, "web")
	if _, _, text := get(t, s.URL+"/"); strings.Contains(text, "<nav") {
		t.Error("one namespace needs no list")
	}
	enter(state, "other", "quiet", 0)
	_, _, text := get(t, s.URL+"/?netns=other")
	if !strings.Contains(text, "quiet") || !strings.Contains(text, `<a href="?netns=host">`) ||
		!strings.Contains(text, `<a href="?netns=other" aria-current="page">`) {
		t.Error(text)
	}
	for path, want := range map[string]int{"/?netns=nowhere": 404, "/nowhere": 404,
		"/report.json?netns=other": 200, "/page.js": 200} {
		if code, _, _ := get(t, s.URL+path); code != want {
			t.Errorf("%s: status %d, want %d", path, code, want)
		}
	}
	if _, _, text := get(t, s.URL+"/report.json"); !strings.Contains(text,
		`"schema": "maxconn.report/1"`) || !strings.Contains(text, `"web"`) {
		t.Error(text)
	}
	if r, err := http.Post(s.URL+"/", "text/plain", nil); err != nil ||
		r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v %v", r, err)
	}
}

// What began and ended is told, and a namespace that fails is not shown as if it were now.
func TestEvents(t *testing.T) {
	state, s := server(t, "web")
	enter(state, "host", "web", 0)
	state.Failed(now, "host", "host", "permission denied")
	_, _, text := get(t, s.URL+"/")
	for _, want := range []string{
		"already there: critical accept-queue at 10.0.0.1:80",
		"ended: critical accept-queue at 10.0.0.1:80",
		"The last survey failed (permission denied): this is of 2026-11-30T12:00:00Z.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
}

// Each survey is told to those who listen.
func TestStream(t *testing.T) {
	state, s := server(t, "web")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	if !lines.Scan() || lines.Text() != ": here" {
		t.Fatalf("%q %v", lines.Text(), lines.Err())
	}
	lines.Scan()
	state.Surveyed(now, time.Second)
	if !lines.Scan() || lines.Text() != "data: survey" {
		t.Errorf("%q %v", lines.Text(), lines.Err())
	}
}
