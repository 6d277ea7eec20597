package serverconf

import (
	"math"
	"strings"
)

// Haproxy reads maxconn of haproxy's files, in the order in which they were named: that of the
// process ("global"), and those of its frontends where every one has some.
func Haproxy(files ...[]byte) (Limit, error) {
	var h haproxy
	for _, b := range files {
		for line := range strings.Lines(string(b)) {
			if err := h.line(HaproxyWords(line)); err != nil {
				return Limit{}, err
			}
		}
	}
	h.end()
	n := h.global
	if h.frontends > 0 && !h.open && (n == 0 || h.sum < n) {
		n = h.sum
	}
	if n == 0 {
		return Limit{}, errNone
	}
	return Limit{Connections: n, Name: "maxconn", Inbound: true}, nil
}

// haproxy is what was read so far.
type haproxy struct {
	section   string
	global    int64
	defaults  int64 // of the section "defaults" read last
	current   int64 // of the section that is being read
	frontends int
	sum       int64 // of all frontends
	open      bool  // a frontend has none
}

func (h *haproxy) line(words []string) error {
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "global", "defaults", "frontend", "listen", "backend", "peers", "resolvers",
		"userlist", "mailers", "cache", "program", "ring", "http-errors", "fcgi-app",
		"log-forward", "crt-store", "traces", "acme", "log-profile":
		h.end()
		h.section = words[0]
		if h.section == "frontend" || h.section == "listen" {
			h.current = h.defaults
		}
	case ".if", ".elif", ".else", ".endif":
		return errSyntax
	case "maxconn":
		if len(words) < 2 {
			return errSyntax
		}
		n, err := number(words[1])
		if err != nil {
			return err
		}
		h.current = n
	}
	return nil
}

// end closes a section.
func (h *haproxy) end() {
	switch h.section {
	case "global":
		if h.current > 0 {
			h.global = h.current
		}
	case "defaults":
		h.defaults = h.current
	case "frontend", "listen":
		h.frontends++
		h.sum = min(h.sum+h.current, math.MaxInt32)
		h.open = h.open || h.current == 0
	}
	h.section, h.current = "", 0
}

// HaproxyWords splits a line (haproxy src/tools.c parse_line): # begins a comment, quotes and
// backslashes keep what is behind them.
func HaproxyWords(line string) (words []string) {
	var word strings.Builder
	var quote byte
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			begun = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote == 0 && c == '#':
			end()
			return words
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			end()
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	end()
	return words
}
