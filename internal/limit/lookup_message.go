package limit

import (
	"slices"
	"strings"
)

// message is what a text tells, besides its words.
type message struct {
	text   string
	line   []word
	errnos map[string]span
	calls  []string
	given  given
}

// given is what a text tells of the socket or file that an errno is about.
type given uint8

const (
	ownPort    given = 1 << iota // the local port that connect() was to use
	unixSocket                   // the address of a Unix socket
	datagram                     // UDP
	watches                      // changes of files
)

func readMessage(text string) message {
	line := words(text)
	errnos := errnosIn(line, text)
	m := message{text: text, line: line, errnos: errnos, calls: callsIn(line, errnos)}
	has := func(names ...string) bool {
		return slices.ContainsFunc(line, func(w word) bool {
			return slices.Contains(names, w.text)
		})
	}
	switch {
	case has("unix", "unixgram", "sock") && strings.Contains(text, "/"):
		m.given = unixSocket
	case has("udp", "udp4", "udp6"):
		m.given = datagram
	case slices.Contains(m.calls, "inotify_init"):
		m.given = watches
	case slices.ContainsFunc(EndpointsIn(text), Endpoint.ownPort):
		m.given = ownPort
	case len(m.calls) == 0 && namesFile(text):
		m.calls = []string{"open"}
	}
	return m
}

// namesFile says whether a text has an absolute path in it, but for those of settings.
func namesFile(text string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t\"'`()[]:,=", r)
	}), func(token string) bool {
		return len(token) > 1 && token[0] == '/' && token[1] != '/' &&
			!strings.HasPrefix(token, "/proc/sys/")
	})
}

// causeMatch is a cause that a text shows.
type causeMatch struct {
	OtherCause
	at    span
	score int
	own   bool
	call  int
}

func causesIn(m message) (found []causeMatch) {
	for _, c := range OtherCauses() {
		if x, ok := matchCause(m, c); ok {
			found = append(found, x)
		}
	}
	return found
}

// matchCause knows a cause by its texts or else by its errno, with what the text has to tell.
func matchCause(m message, c OtherCause) (best causeMatch, ok bool) {
	at, named := m.errnos[c.Errno]
	call := callScore(c.Call, m.calls)
	for _, text := range c.Texts {
		sign := words(text)
		at, _, whole := matchWhole(m.line, m.text, sign)
		if score := wholeText + literals(sign); whole && score > best.score {
			best = causeMatch{OtherCause: c, at: at, score: score, own: true}
		}
	}
	switch {
	case len(c.Texts) > 0 && c.Given == 0 || best.own:
		return best, best.own
	case !named || c.Given&^m.given != 0 || c.Given != 0 && call < 0:
		return best, false
	}
	return causeMatch{OtherCause: c, at: at, score: byErrno + call, own: c.Given != 0,
		call: call}, true
}

// find is what a text shows: signs of limits, best first, and other causes. Whatever knows a
// message by words of its own, or by what it tells of the socket, leaves nothing to what its errno
// means in general; and a call that the text names decides between the causes of one errno.
func find(text string) ([]SignMatch, []OtherCause) {
	m := readMessage(text)
	signs, causes := signsIn(m), causesIn(m)
	var told []span
	called := false
	for _, s := range signs {
		if s.own && s.score >= wholeText {
			told = append(told, s.at)
		}
		called = called || s.call > 0
	}
	for _, c := range causes {
		if c.own {
			told = append(told, c.at)
		}
		called = called || c.call > 0
	}
	general := func(own bool, at span, call int) bool {
		return !own && (called && call < 0 || slices.ContainsFunc(told, func(t span) bool {
			return t.start <= at.start && at.end <= t.end
		}))
	}
	matches := map[*Limit]int{}
	for _, s := range signs {
		matches[s.Limit]++
	}
	signs = slices.DeleteFunc(signs, func(s SignMatch) bool {
		return general(s.own, s.at, s.call) || !s.own && s.Sign.Errno == "" ||
			s.own && s.score < wholeText && len(told) > 0
	})
	causes = slices.DeleteFunc(causes, func(c causeMatch) bool {
		return general(c.own, c.at, c.call)
	})
	return bestFirst(signs, matches), onlyKnown(causes, len(signs) > 0)
}

// onlyKnown leaves out causes of other calls where anything else is known, and says those first
// that know most.
func onlyKnown(causes []causeMatch, known bool) (out []OtherCause) {
	slices.SortStableFunc(causes, func(a, b causeMatch) int { return b.score - a.score })
	known = known || slices.ContainsFunc(causes, func(c causeMatch) bool { return c.call >= 0 })
	for _, c := range causes {
		if c.call >= 0 || !known {
			out = append(out, c.OtherCause)
		}
	}
	return out
}

// isErrnoText says whether a text is nothing but what a C library prints for an errno.
func isErrnoText(name, text string) bool {
	i := slices.IndexFunc(errnos(), func(e errno) bool { return e.name == name })
	return i >= 0 && slices.Contains(errnos()[i].texts, text)
}
