package host

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A new kind of fact has to say how it is redacted.
func TestEveryKindIsRedacted(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if kind, isKind := spec.Type.(*ast.Ident); !ok || !isKind || kind.Name != "Kind" {
			return true
		}
		name, err := strconv.Unquote(value.Value)
		if r := redaction[Kind(name)]; err != nil || r.name == nil {
			t.Errorf("%s: nothing says how its names are redacted", name)
		}
		found++
		return true
	})
	if found < 20 || found != len(redaction) {
		t.Errorf("%d kinds in kinds.go, %d in the table", found, len(redaction))
	}
}

// A field that is no figure has a type of its own: otherwise a redacted snapshot would lose it.
func TestEveryFieldIsRedacted(t *testing.T) {
	files, err := filepath.Glob("../../testdata/hosts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := parse2(t, text)
		for _, f := range s.Facts() {
			unclassified(t, f, s.readings[f].Text)
		}
	}
}

func unclassified(t *testing.T, f Fact, text string) {
	t.Helper()
	r := redaction[f.Kind]
	if f.Kind.IsTable() {
		for _, field := range parseFields(text) {
			if r.fields[field.Name] == nil && !isFigure(field.Value) {
				t.Errorf(
					"%s: nothing says how its field %s=%s is redacted",
					f,
					field.Name,
					field.Value,
				)
			}
		}
	} else if r.fields[f.Name] == nil && r.text == nil && !isFigure(text) {
		t.Errorf("%s: nothing says how %q is redacted", f, text)
	}
}

func parse2(t *testing.T, text []byte) Snapshot {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What has no type, because a later maxconn wrote it, is hidden unless it is a figure.
func TestUnknownFactsAreHidden(t *testing.T) {
	var s Snapshot
	const secret = "zqmark"
	s.Set(Fact{"novelty", secret}, secret)
	s.Set(Fact{"novelty", "12"}, "12 34")
	s.Set(System(secret), "1")
	s.Set(System("novelty"), secret)
	s.Set(
		Fact{ProcessKind, "7"},
		Fields{{"name", "x"}, {"novelty", secret}, {"other", "7"},
			{secret + "!", "1"}}.String(),
	)
	s.Set(Fact{ListenerKind, secret + ":80"}, "queue=0")
	s.Set(Fact{LinkKind, "eth1"}, "kind="+secret+" qdisc="+secret+" backlog="+secret)
	s.Set(Fact{QdiscKind, "eth1/root"}, "kind="+secret+" unit="+secret)
	s.Set(Sysctl("net.core.default_qdisc"), secret)
	s.Set(Sysctl("net.ipv4.tcp_congestion_control"), "cubic "+secret)
	s.Set(System("scope"), secret)
	s.Set(Fact{QdiscKind, "eth0/" + secret}, "drops=0")
	s.Set(Fact{MovedKind, "novelty/" + secret}, "1")
	s.Miss(
		Fact{CgroupKind, "*"},
		"cannot read "+secret+" (pid 3) at /a/"+secret+".service and 10.0.0.7:80",
	)
	text := string(Redact(s).Text())
	if strings.Contains(strings.ReplaceAll(text, "system "+secret+" =", ""), secret) ||
		strings.Contains(text, "10.0.0.7") {
		t.Error(text)
	}
	s = Snapshot{}
	s.Set(Fact{LinkKind, "lo"}, "backlog=netif_rx kind=veth qdisc=fq_codel")
	if words := string(Redact(s).Text()); words != string(s.Text()) {
		t.Errorf("words of the kernel are hidden: %s", words)
	}
	if !strings.Contains(text, "novelty 12 = 12 34\n") || !strings.Contains(text, "other=7") {
		t.Error(text)
	}
}

func TestReleaseKeepsWhatTellsBackports(t *testing.T) {
	for text, want := range map[string]string{
		"6.1.0-18-amd64":                   "6.1.0-18-amd64",
		"5.14.0-427.el9.x86_64":            "5.14.0-427.el9.x86_64",
		"6.12.107+deb13-cloud-amd64":       "6.12.107+deb13-cloud-amd64",
		"6.6.87.2-microsoft-standard-WSL2": "6.6.87.2-microsoft-standard-WSL2",
		"6.1.0-acme-prod+":                 "6.1.0-kernel1-kernel2+",
		"5.10.0-acme.el8":                  "5.10.0-kernel1.el8", "": "",
	} {
		x := &redactor{names: map[string]string{}}
		if have := release(x, text); have != want {
			t.Errorf("%q: %q, want %q", text, have, want)
		}
	}
}

// A reason that says that something is not there goes on to say so.
func TestReasonsKeepTheirMeaning(t *testing.T) {
	for _, why := range []string{
		Denied, Absent, NoSetting, NoConntrack, InChild, Masked, Unlisted,
		NoFile("net/stat/arp_cache"),
		"no such file or directory",
		"138 of 141 processes not readable as uid 1000; run as root to see owners",
	} {
		var s Snapshot
		f := Sysctl("a.b")
		s.Miss(f, why)
		r, _ := Redact(s).Lookup(f)
		if r.Err != why && why != NoFile("net/stat/arp_cache") ||
			IsAbsence(r.Err) != IsAbsence(why) {
			t.Errorf("%q is %q", why, r.Err)
		}
	}
}
