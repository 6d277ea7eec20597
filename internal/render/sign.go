package render

import (
	"net/netip"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

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

// matchedPage adds what the text quoted and the host's figures, for the port that the text
// names if it names one.
func matchedPage(m limit.SignMatch, s host.Snapshot) SignPage {
	p := signPage(m.Limit, m.Sign)
	p.Quotes = m.Quotes
	port := ""
	if m.Limit.Scope == limit.Listener {
		port = portIn(m.Quotes)
	}
	p.OnHost = onHost(m.Limit, s, port)
	return p
}

// portIn finds a port among quotes: "443", or since about Linux 6.2 "0.0.0.0:443".
func portIn(quotes []string) string {
	for _, q := range quotes {
		if _, err := netip.ParseAddrPort(q); err == nil {
			q = q[strings.LastIndexByte(q, ':')+1:]
		}
		if q != "" && len(q) <= 5 && strings.Trim(q, "0123456789") == "" {
			return q
		}
	}
	return ""
}
