//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
)

// What a load in a lab wrote is its report, or is said not to be one.
func TestLoadReported(t *testing.T) {
	for _, c := range []struct {
		out  lab.Output
		want string // of the error; "": a report
	}{
		{lab.Output{Stdout: []byte(
			`{"schema":"maxconn.load/1","goal_met":true,"missed":[]}`)}, ""},
		{lab.Output{Stdout: []byte(
			`{"schema":"maxconn.load/1","goal_met":false,"missed":["interrupted"]}`),
			Code: 1}, ""},
		{lab.Output{Stdout: []byte(`{}`)}, `its schema is ""`},
		{lab.Output{Stdout: []byte(`{"schema":"maxconn.load/1","established":50000}`),
			Code: 1}, "goal_met false and missed []"},
		{lab.Output{Code: 137}, "killed by signal 9"},
		{lab.Output{Code: 70}, "status 70 and without a report"},
	} {
		r, err := reported(c.out)
		if c.want == "" && (err != nil || r == nil) ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d %s: %+v, %v", c.out.Code, c.out.Stdout, r, err)
		}
	}
}

// Escapes of Go and C are understood, and what a shell has made bytes of already.
func TestLoadBytes(t *testing.T) {
	for text, want := range map[string]string{
		`PING\r\n`: "PING\r\n", "GET /\r\n\r\n": "GET /\r\n\r\n", `{"a":1}`: `{"a":1}`,
		`\"a\'`: `"a'`, `\x00\xff\\`: "\x00\xff\\", "é\xff": "é\xff", `\u00e9`: "é",
	} {
		if have, err := bytesOf(text); err != nil || string(have) != want {
			t.Errorf("%q: %q, %v", text, have, err)
		}
	}
	for _, bad := range []string{`\`, `\q`, `\x1`, `a\`, `\u12`} {
		if have, err := bytesOf(bad); err == nil {
			t.Errorf("%q was read as %q", bad, have)
		}
	}
}

func FuzzLoadBytes(f *testing.F) {
	f.Add(`GET / HTTP/1.0\r\n\r\n`)
	f.Fuzz(func(t *testing.T, text string) {
		have, err := bytesOf(text)
		if err == nil && len(have) > len(text) {
			t.Errorf("%q grew to %q", text, have)
		}
		if !strings.Contains(text, `\`) && string(have) != text {
			t.Errorf("%q is %q", text, have)
		}
	})
}
