package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/render"
)

// namesAt are the fields of the JSON outputs that hold names, and not sentences or figures.
var namesAt = regexp.MustCompile(`\.(limits?|severity|measure|how|\w+_how|kind|takes_effect|unit|` +
	`verdict|bound_by|\w+_bound_by|fact|scope)$|checked\.limit$`)

// names collects the names in a JSON output.
func names(v any, at string, found map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			names(x, at+"."+k, found)
		}
	case []any:
		for _, x := range v {
			names(x, at, found)
		}
	case string:
		if v != "" && namesAt.MatchString(at) {
			found[v] = at
		}
	}
}

// explain knows every name that maxconn itself prints of recorded hosts, in JSON and as text.
func TestPrintedNames(t *testing.T) {
	eachHost(t, func(t *testing.T, name string, _ recorded) {
		found := map[string]string{}
		for _, args := range [][]string{
			{"check", "--json"},
			{"plan", "--json", "--inbound", ":22=90000,9000/s"},
			{"plan", "--json", "--outbound", "192.0.2.9:443=90000,900/s"},
		} {
			out := outputOf(t, append(args, "--from", hostFile(name+".txt"))...)
			if out == "" && args[0] == "plan" {
				continue // it could not tell, and said so
			}
			var v any
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatalf("%q: %v\n%s", args, err, out)
			}
			names(v, "", found)
		}
		for name, at := range found {
			known(t, name, at)
		}
		for _, name := range regexp.MustCompile(`(?m)^(critical|warning|info)\b|`+
			`\b(Tcp|TcpExt)\.[A-Z]\w+|\b[A-Z]{2,}_[A-Z_12]+\b`).FindAllString(outputOf(t,
			"check", "--verbose", "--from", hostFile(name+".txt")), -1) {
			if !notNames[name] {
				known(t, name, "text")
			}
		}
	})
}

// notNames stand in texts and are explained by the words around them.
var notNames = map[string]bool{}

func known(t *testing.T, name, at string) {
	t.Helper()
	if _, ok := render.Explain(name, host.Snapshot{}); !ok {
		t.Errorf("%s: explain does not know %q", at, name)
	}
}

// What takes effect when is a sentence in the sources of the limits: all of them are explained.
func TestEveryTakesEffect(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "internal", "limit", "*.go"))
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	n := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:TakesEffect:|Effect =)\s+"([^"]*[^" ])"`).
			FindAllStringSubmatch(string(source), -1) {
			n++
			known(t, m[1], filepath.Base(file))
		}
	}
	if n < 15 {
		t.Errorf("%d found", n)
	}
}

func outputOf(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaint strings.Builder
	run(t.Context(), args, strings.NewReader(""), &out, &complaint, noEnv)
	return out.String()
}
