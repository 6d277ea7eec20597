package rules

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

const packaging = "../../../../packaging"

// promtool is Debian's. Without it the test is skipped, or fails where MAXCONN_REQUIRE names
// metrics.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "metrics") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("promtool is not installed: scripts/debian-packages.sh")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// The files of packaging are what the catalogue makes.
func TestFilesAreFresh(t *testing.T) {
	files, err := Files(limit.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join(packaging, name))
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("packaging/%s is stale (go generate ./cmd/maxconn): %v", name, err)
		}
	}
}

// A limit that is added gets its alerts and its line on the dashboard without an edit.
func TestNewLimit(t *testing.T) {
	l := &limit.Limit{ID: "my-limit", Title: "my things", Doc: "Doc of it.",
		Measure: limit.Held, Bounds: limit.Flows{Direction: limit.Outbound}}
	found := map[string]Rule{}
	for _, r := range All([]*limit.Limit{l}) {
		found[r.Alert] = r
	}
	for _, name := range []string{"MaxconnMyLimitRefusing", "MaxconnMyLimitWarning",
		"MaxconnMyLimitSoon"} {
		r := found[name]
		if !strings.Contains(r.Expr, `limit="my-limit"`) ||
			!strings.Contains(r.Annotations["runbook"], "maxconn explain my-limit") ||
			!strings.Contains(r.Annotations["description"], "Doc of it.") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	text, err := JSON(Host([]*limit.Limit{l}))
	if err != nil || !bytes.Contains(text, []byte("- `my-limit`: my things")) {
		t.Errorf("the dashboard does not name it: %v", err)
	}
}

// Prometheus takes the rules, their templates included, and they fire and end as they should.
func TestPromtool(t *testing.T) {
	rules := filepath.Join(packaging, "prometheus", "maxconn.rules.yml")
	if out := promtool(t, "check", "rules", rules); !strings.Contains(out, "SUCCESS") {
		t.Errorf("promtool check rules: %s", out)
	}
	test, err := os.ReadFile("testdata/rules.test.yml")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	text := strings.Replace(string(test), "RULES", whole, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", file)
}

// Dashboards hold what Grafana knows, each panel of its own number and place.
func TestDashboards(t *testing.T) {
	for _, d := range []Dashboard{Host(limit.Catalogue()), Fleet(limit.Catalogue())} {
		text, err := JSON(d)
		if err != nil {
			t.Fatal(err)
		}
		strict := json.NewDecoder(bytes.NewReader(text))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&Dashboard{}); err != nil {
			t.Errorf("%s: %v", d.Title, err)
		}
		ids, places := map[int]bool{}, map[gridPos]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || places[p.GridPos] || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s: panel %d %q at %+v", d.Title, p.ID, p.Title,
					p.GridPos)
			}
			ids[p.ID], places[p.GridPos] = true, true
		}
		for _, q := range d.Queries() {
			if strings.Contains(q, "$") ||
				!regexp.MustCompile(`\bmaxconn[_:]`).MatchString(q) {
				t.Errorf("%s: query %s", d.Title, q)
			}
		}
	}
}
