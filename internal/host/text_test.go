package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/spent"
)

func parse(t *testing.T, body string) Snapshot {
	t.Helper()
	s, err := Parse([]byte(header + "\n" + body + trailer + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTextRoundTrip(t *testing.T) {
	var s Snapshot
	s.Set(Sysctl("net.core.somaxconn"), "4096")
	s.Set(Sysctl("net.ipv4.ip_local_reserved_ports"), "")
	s.Set(System("name"), " odd \"name\"\nwith \x00 bytes \xff")
	s.Set(Fact{ProcessKind, "7"},
		Fields{}.Add("name", "a b=c \"d\"").AddInt("files", 3).String())
	s.Set(Fact{LinkKind, "eth 0"}, "kind=veth")
	s.Miss(Sysctl("net.ipv4.tcp_mem"), "not visible in a child network namespace")
	got, err := Parse(s.Text())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(s.Text()), string(got.Text())); d != "" {
		t.Error(d)
	}
	if name := got.Read().Text(System("name")); name != " odd \"name\"\nwith \x00 bytes \xff" {
		t.Errorf("name came back as %q", name)
	}
	if row, ok := got.Read().Row(ProcessKind, "7"); !ok || row.Text("name") != "a b=c \"d\"" ||
		row.Count("files") != 3 {
		t.Errorf("process row came back as %+v", row)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "not a snapshot"},
		"other file":    {"net.core.somaxconn = 1\n", "not a snapshot"},
		"cut off":       {header + "\nsysctl a = 1\n", "cut off"},
		"cut in a line": {header + "\nsysctl a", "not \"kind name = value\""},
		"twice":         {header + "\nsysctl a = 1\nsysctl a = 2\nend\n", "stands twice"},
		"no reason":     {header + "\nsysctl a !\nend\n", "no reason"},
		"not a row":     {header + "\nlistener 0.0.0.0:1 = queue\nend\n", "not a row"},
		"after the end": {header + "\nend\nsysctl a = 1\n", "after the end"},
		"broken escape": {header + "\nsysctl a = \"x\nend\n", "broken escape"},
		"bad kind":      {header + "\nSys a = 1\nend\n", "not \"kind name = value\""},
		"binary":        {"\x00\x01\x02", "not a snapshot"},
		"newer version": {"maxconn.snapshot/9\nend\n", "want \"maxconn.snapshot/1\""},
	} {
		_, err := Parse([]byte(c.text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has more than one line", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(header +
		"\nsysctl a = 1\nlistener [::]:80 = queue=0 process=\"a b\"\nsysctl b ! " +
		"gone\nend\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Snapshot
		var err error
		spent.Within(t, len(text), func() { s, err = Parse(text) })
		if err != nil {
			return
		}
		again, err := Parse(s.Text())
		if err != nil {
			t.Fatalf("own text refused: %v\n%s", err, s.Text())
		}
		if d := cmp.Diff(string(s.Text()), string(again.Text())); d != "" {
			t.Fatal(d)
		}
		Redact(s)
	})
}

func FuzzFields(f *testing.F) {
	f.Add("name", "a b\"c\" \xff")
	f.Fuzz(func(t *testing.T, name, value string) {
		if name == "" || strings.ContainsAny(name, "= \"") || value == "" {
			return
		}
		text := Fields{{"a", "1"}, {name, value}, {"z", "2"}}.String()
		got, ok := splitFields(text)
		if !ok || len(got) != 3 || got[1] != (Field{name, value}) {
			t.Fatalf("%q gave %+v, %v", text, got, ok)
		}
	})
}
