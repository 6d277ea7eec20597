package render

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// count writes a whole number with separators: 28,232.
func count(n int64) string { return figure.Count(n) }

// value is a text from the kernel; a lone number gets separators.
func value(s string) string {
	if digits := strings.TrimLeft(s, "+-"); digits != "" && len(s)-len(digits) <= 1 &&
		strings.Trim(digits, "0123456789") == "" {
		return figure.Separate(s)
	}
	return s
}

// marked is a number with the mark of how it was got.
func marked(n int64, how limit.How, atMost bool) string {
	switch {
	case atMost:
		return "<=" + count(n)
	case how == limit.Computed:
		return "=" + count(n)
	case how == limit.Measured:
		return "~" + count(n)
	}
	return count(n)
}

// plural is "1 fact" or "12 facts".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(int64(n)) + " " + one + "s"
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// who names a process, "" where none is known.
func who(name string, pid int64) string {
	switch {
	case pid == 0:
		return name
	case name == "":
		return "pid " + strconv.FormatInt(pid, 10)
	}
	return name + " (pid " + strconv.FormatInt(pid, 10) + ")"
}

// SignPage is a text or an errno by which a limit shows itself.
type SignPage struct {
	Limit  string   `json:"limit"`
	Title  string   `json:"title"` // of the limit
	Text   string   `json:"text"`
	Errno  string   `json:"errno,omitempty"`
	Call   string   `json:"call,omitempty"`
	Means  string   `json:"means"`
	Look   string   `json:"look,omitempty"`
	Quotes []string `json:"quotes,omitempty"` // what stood in the text in place of "…"
	OnHost OnHost   `json:"on_host"`
}

func signPage(l *limit.Limit, s limit.Sign) SignPage {
	return SignPage{
		Limit: string(l.ID),
		Title: l.Title,
		Text:  s.Text,
		Errno: s.Errno,
		Call:  s.Call,
		Means: s.Means,
		Look:  s.Look,
	}
}

// matchedPage adds what the text quoted and the host's figures, for the port or the destination
// that the text names if it names one.
func matchedPage(m limit.SignMatch, s host.Snapshot, at []limit.Endpoint) SignPage {
	p := signPage(m.Limit, m.Sign)
	p.Quotes = m.Quotes
	p.OnHost = onHost(m.Limit, s, at)
	return p
}

// concerning leaves the gauges of the listener or the destination that a text names. port is that
// of the listener, "" where none is named. Of a destination without connections the gauge of any
// destination tells.
func concerning(gauges []limit.Gauge, l *limit.Limit, named []limit.Endpoint) (some []limit.Gauge,
	port string) {
	for _, at := range named {
		switch {
		case at.Local || at.Port == 0:
		case l.Scope == limit.Listener:
			port = strconv.Itoa(int(at.Port))
			return slices.DeleteFunc(gauges, func(g limit.Gauge) bool {
				return !strings.HasSuffix(g.Subject.Listener, ":"+port)
			}), port
		case l.Scope == limit.Peer && at.Addr.IsValid():
			return towards(gauges, netip.AddrPortFrom(at.Addr, at.Port).String()), ""
		}
	}
	return gauges, ""
}

func towards(gauges []limit.Gauge, destination string) []limit.Gauge {
	is := func(g limit.Gauge) bool { return g.Subject.Destination == destination }
	if slices.ContainsFunc(gauges, is) {
		return slices.DeleteFunc(gauges, func(g limit.Gauge) bool { return !is(g) })
	}
	others := slices.DeleteFunc(slices.Clone(gauges), func(g limit.Gauge) bool {
		return g.Subject.Kind != limit.AnyPeer
	})
	if len(others) > 0 {
		return others
	}
	return gauges
}

// Clean makes a text fit for a terminal's line.
func Clean(s string) string { return encode.Visible(s) }
