package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

func TestParseCount(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "20000": 20000, "100,000": 100000, "1,234,567": 1234567, "100k": 100000,
		"100K": 100000, "1M": 1000000, "1.5k": 1500, "1.001k": 1001, "0.5M": 500000,
		"1000000000000000": 1e15,
	} {
		if have, err := parseCount(text); err != nil || have != want {
			t.Errorf("%q: %d, %v, want %d", text, have, err, want)
		}
	}
	for _, text := range []string{"", "0", "0k", "-1", "+1", "k", "1.5", "1.0001k", "1e5",
		"1,00", ",100", "1,,000", "1 000", "NaN", "Inf", "0x10", "1_000", "1m", "1G",
		"1.2.3", "99999999999999999999", "1000000000000001", "1k/s"} {
		if have, err := parseCount(text); err == nil {
			t.Errorf("%q: %d, want an error", text, have)
		}
	}
}

func TestGoals(t *testing.T) {
	g := goals{ctx: t.Context()}
	for text, want := range map[string]limit.Goal{
		"10.0.0.9:5432=500/s":         {Subject: "10.0.0.9:5432", PerSecond: 500},
		"10.0.0.9:5432=20k":           {Subject: "10.0.0.9:5432", Held: 20000},
		"[2001:db8::1]:443=1M":        {Subject: "[2001:db8::1]:443", Held: 1000000},
		"[2001:DB8:0::1]:443=1":       {Subject: "[2001:db8::1]:443", Held: 1},
		"[::ffff:10.0.0.9]:80=1.5k/s": {Subject: "10.0.0.9:80", PerSecond: 1500},
	} {
		if have := g.outbound(text); g.err != nil || have != want {
			t.Errorf("%q: %+v, %v", text, have, g.err)
		}
	}
	for text, want := range map[string]limit.Goal{
		":443=100k":       {Subject: ":443", Held: 100000},
		"443=100k":        {Subject: ":443", Held: 100000},
		"0.0.0.0:443=5/s": {Subject: "0.0.0.0:443", PerSecond: 5},
		"[::]:443=5":      {Subject: "[::]:443", Held: 5},
		"*:443=5":         {Subject: ":443", Held: 5},

		"[::ffff:127.0.0.1]:443=5": {Subject: "127.0.0.1:443", Held: 5},
	} {
		if have := g.inbound(text); g.err != nil || have != want {
			t.Errorf("%q: %+v, %v", text, have, g.err)
		}
	}
}

func TestGoalsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.9:5432": "NAME=COUNT", "=5": "NAME=COUNT",
		"10.0.0.9=5": "not an address and port", "10.0.0.9:0=5": "not a port",
		"10.0.0.9:99999=5": "not a port",
		"10.0.0.9:80=":     "not a count", "10.0.0.9:80=5/h": "not a count",
		"10.0.0.9:80=/s": "not a count", ":80=5": "not an address and port",
		"db.example:80=5": "write the address",
	} {
		g := goals{ctx: t.Context()}
		if g.outbound(text); g.err == nil || !strings.Contains(g.err.Error(), want) {
			t.Errorf("--outbound %q: %v, want %q", text, g.err, want)
		}
	}
	for _, text := range []string{":0=5", "http=5", ":=5", "0.0.0.0:0=1", "::=1",
		"10.0.0.1=1"} {
		g := goals{ctx: t.Context()}
		if g.inbound(text); g.err == nil {
			t.Errorf("--inbound %q: no error", text)
		}
	}
}

// A goal file means what it says or is refused, in one line that names the line where it can.
func TestGoalFilesThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		":443: [5, 6]":            `line 2: ":443" is asked for two figures held, 5 and 6`,
		":443: [5/s, 5/s]":        `line 2: ":443" is asked for two figures per second`,
		":443: 5\n  443: 6":       `":443" is asked for two figures held, 5 and 6`,
		":443: 5\n  \"*:443\": 6": `":443" is asked for two figures held, 5 and 6`,
		":443: 5\n  :443: 6":      `stands twice`,
		":443: []":                `line 2: nothing is asked of ":443"`,
		":443:":                   `line 2: "" is not a count`,
		":443: ~":                 `is not a count`,
		":443: {held: 5}":         `line 2: want a count`,
		":443: [[5]]":             `line 2: want a count`,
		":443: -5":                `is not a count`,
		":443: 0":                 `is not above zero`,
		":443: 1.5":               `is not a whole number`,
		":443: 1e3":               `is not a count`,
		":443: 0x10":              `is not a count`,
		":443: true":              `is not a count`,
		":443: many":              `is not a count`,
		":443: &a 5\n  :80: *a":   `want a count`,
		"http: 5":                 `line 2: "http" is not a listener`,
		"0: 5":                    `"0" is not a listener`,
		"<<: {\":443\": 5}":       `is not a listener`,
		"":                        `want names`,
		"[5]":                     `want names`,
	} {
		file := filepath.Join(t.TempDir(), "goals.yaml")
		text = "inbound:\n  " + text + "\n"
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		var out, complaint bytes.Buffer
		args := []string{"plan", "--from", hostFile("small-vm.txt"), file}
		status := run(t.Context(), args, strings.NewReader(""), &out, &complaint, noEnv)
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		if status != statusUsage || len(lines) != 2 || !strings.Contains(lines[0], want) {
			t.Errorf("%q: exit status %d, want %q: %s", text, status, want, &complaint)
		}
	}
}

// A name that this host knows is looked up; one for a snapshot of another host is not.
func TestHostNames(t *testing.T) {
	g := goals{ctx: t.Context(), local: true}
	if have := g.outbound("localhost:80=5"); g.err != nil ||
		!strings.HasSuffix(have.Subject, ":80") ||
		strings.Contains(have.Subject, "localhost") {
		t.Errorf("%+v, %v", have, g.err)
	}
}

func FuzzGoal(f *testing.F) {
	for _, s := range []string{"10.0.0.9:5432=500/s", ":443=100k", "[::1]:1=1M", "a=b=c", "=",
		"1,000=1,000", "x:1=9999999999999999999k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := parseGoal(text)
		if err == nil && (g.Subject == "" || (g.Held > 0) == (g.PerSecond > 0) ||
			g.Held > 1e15 || g.PerSecond > 1e15) {
			t.Errorf("%q: %+v", text, g)
		}
		x := goals{ctx: t.Context()}
		x.inbound(text)
		x.outbound(text) // no look-up: the goal is for another host
	})
}
