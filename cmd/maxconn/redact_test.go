package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/render"
)

// secret is in every name of a marked host.
const secret = "zqmark"

// marked is a host as somebody would have it who puts a secret into every name.
func marked(s host.Snapshot) (out host.Snapshot) {
	mark := marker{}
	for _, f := range s.Facts() {
		r, _ := s.Lookup(f)
		marked := host.Fact{Kind: f.Kind, Name: mark.fact(f)}
		if r.Err != "" {
			out.Miss(
				marked,
				r.Err+"; "+secret+"-proc (pid 7), 10.9.9.9:80 and "+
					"/"+secret+".slice/x-"+secret+".service",
			)
			continue
		}
		out.Set(marked, mark.text(f, r.Text))
	}
	out.Set(host.System("netns-name"), secret+"-ns")
	return out
}

type marker struct{}

// name keeps the suffix of a unit and names that are everywhere.
func (marker) name(s string) string {
	if s == "" || s == "lo" || s == "*" || strings.HasSuffix(s, "system.slice") ||
		strings.HasSuffix(s, "user.slice") {
		return s
	}
	if i := strings.LastIndexByte(s, '.'); i >= 0 &&
		slices.Contains([]string{".service", ".scope", ".slice"}, s[i:]) {
		return s[:i] + secret + s[i:]
	}
	return secret + s
}

func (m marker) path(s string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = m.name(parts[i])
	}
	return strings.Join(parts, "/")
}

func (m marker) fact(f host.Fact) string {
	switch f.Kind {
	case host.LinkKind:
		return m.name(f.Name)
	case host.QdiscKind:
		link, handle, _ := strings.Cut(f.Name, "/")
		return m.name(link) + "/" + handle
	case host.CgroupKind:
		return m.path(f.Name)
	}
	return f.Name
}

func (m marker) text(f host.Fact, text string) string {
	switch {
	case f == host.System("name"):
		return m.name(text)
	case f == host.System("kernel"):
		return text + "+" + secret
	case !f.Kind.IsTable():
		return text
	}
	var s host.Snapshot
	s.Set(f, text)
	row, _ := s.Read().Row(f.Kind, f.Name)
	for i, field := range row.Fields {
		switch field.Name {
		case "process", "name", "link":
			row.Fields[i].Value = m.name(field.Value)
		case "unit":
			// a queueing discipline has a unit of measurement
			if f.Kind == host.ProcessKind {
				row.Fields[i].Value = m.name(field.Value)
			}
		case "cgroup", "pids_cgroup":
			row.Fields[i].Value = m.path(field.Value)
		}
	}
	return row.Fields.String()
}

// A redacted host holds no name, and the verdict on it is the same in full, but for the stand-ins.
func TestRedactedHostsHaveTheSameVerdict(t *testing.T) {
	eachHost(t, func(t *testing.T, name string, _ recorded) {
		_, s := parseHost(t, name)
		s = marked(s)
		hidden := host.Redact(s)
		text := string(hidden.Text())
		if i := strings.Index(text, secret); i >= 0 || strings.Contains(text, "10.9.9.9") {
			t.Errorf("a name is left: %.200s", text[max(0, i-100):])
		}
		for _, addr := range tellingAddresses(string(s.Text())) {
			if strings.Contains(text, addr+" ") || strings.Contains(text, addr+":") ||
				strings.Contains(text, addr+"-") {
				t.Errorf("the address %s is left", addr)
			}
		}
		for _, o := range []diagnose.Options{
			{}, {Limits: []string{"transmit-queue", "cgroup-memory", "threads",
				"process-files"}},
		} {
			want, have := anonymous(
				t,
				diagnose.Check(s, o),
			), anonymous(
				t,
				diagnose.Check(hidden, o),
			)
			if d := gocmp.Diff(want, have); d != "" {
				t.Errorf("(-as it is +redacted)\n%s", d)
			}
		}
	})
}

// tellingAddresses are those that could tell whose host it is.
func tellingAddresses(text string) (out []string) {
	for _, word := range anyAddress.FindAllString(text, -1) {
		if a, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil &&
			!a.IsLoopback() &&
			!a.IsUnspecified() {
			out = append(out, word)
		}
	}
	return out
}

var (
	anyAddress = regexp.MustCompile(
		`[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|\[?[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*[0-9a-f]\]?`,
	)
	// anyName is a name of a marked host, or the stand-in for one.
	anyName = regexp.MustCompile(
		`[A-Za-z0-9_@.\\-]*` + secret + `[A-Za-z0-9_@\\-]*|` +
			`\b(process|unit|cgroup|link|host|netns|name)-[0-9]+|kernel[0-9]+`,
	)
)

// anonymous is a report with one word for every name and address, its lists in an order that does
// not depend on names.
func anonymous(t *testing.T, r diagnose.Report) any {
	t.Helper()
	var b bytes.Buffer
	if err := render.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	text := anyName.ReplaceAllString(b.String(), "NAME")
	text = anyAddress.ReplaceAllStringFunc(text, func(word string) string {
		if _, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil {
			return "ADDRESS"
		}
		return word
	})
	text = strings.NewReplacer("[ADDRESS]", "ADDRESS", "lo, NAME", "NAME, lo").Replace(text)
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return ordered(v)
}

func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = ordered(v[k])
		}
	case []any:
		for i := range v {
			v[i] = ordered(v[i])
		}
		slices.SortFunc(v, func(a, b any) int {
			return strings.Compare(asText(a), asText(b))
		})
	}
	return v
}

func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return strconv.Quote(err.Error())
	}
	return string(b)
}
