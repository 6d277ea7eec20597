package limit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Endpoint is an address, a port or both that a text names.
type Endpoint struct {
	Addr netip.Addr // the zero Addr where only a port is named, as in ":8080"
	Port uint16     // 0 where only an address is named
	// Local is this end of a connection, as Go writes it: "10.0.0.1:3001->10.0.0.9:3001".
	Local bool
	bare  bool // without a port
}

// String is for people: "10.0.0.9:80", ":8080", "10.0.0.9", "local :3001".
func (e Endpoint) String() string {
	s := ":" + strconv.Itoa(int(e.Port))
	switch {
	case e.Addr.IsValid() && e.bare:
		s = e.Addr.String()
	case e.Addr.IsValid():
		s = netip.AddrPortFrom(e.Addr, e.Port).String()
	}
	if e.Local {
		return "local " + s
	}
	return s
}

// ownPort says that it is this end, with a port that the program chose.
func (e Endpoint) ownPort() bool { return e.Local && e.Port != 0 }

// EndpointsIn finds the addresses and ports in an error or log line. This end of a connection is
// known by "->", as Go writes it, and by "Local", as Node does.
func EndpointsIn(text string) (found []Endpoint) {
	before := ""
	for _, token := range strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t\n\r\"'`(){}<,;=", r)
	}) {
		near, far, pair := strings.Cut(token, "->")
		if e, ok := parseEndpoint(near); ok {
			e.Local = pair || strings.EqualFold(before, "local")
			found = append(found, e)
		}
		if e, ok := parseEndpoint(far); ok && pair {
			found = append(found, e)
		}
		before = token
	}
	for _, e := range portsNamed(text) {
		if !slices.ContainsFunc(found, func(x Endpoint) bool { return x.Port == e.Port }) {
			found = append(found, e)
		}
	}
	return found
}

// parseEndpoint reads 10.0.0.9:80, [::1]:80, :80, :::80 (Node), *:80, 10.0.0.9 and ::1, with a
// scheme before or a path behind.
func parseEndpoint(s string) (e Endpoint, ok bool) {
	if _, after, found := strings.Cut(s, "://"); found {
		s = after
	}
	s = strings.TrimLeft(s, "/")
	s, _, _ = strings.Cut(s, "/")
	s = strings.TrimRight(s, ".:!?")
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err == nil {
		return Endpoint{Addr: a, bare: true}, len(s) > 2
	}
	return parseHostPort(s)
}

func parseHostPort(s string) (e Endpoint, ok bool) {
	i := strings.LastIndexByte(s, ':')
	n, err := strconv.ParseUint(strings.TrimRight(s[i+1:], "]"), 10, 16)
	if i < 0 || err != nil {
		return e, false
	}
	a, err := netip.ParseAddr(strings.Trim(s[:i], "[]"))
	switch before := s[:i]; {
	case err == nil:
		return Endpoint{Addr: a, Port: uint16(n)}, true
	case before == "" || before == "*" || before == "localhost":
		return Endpoint{Port: uint16(n)}, true
	}
	return e, false
}

// portsNamed reads "port 443", as curl and the kernel write it.
func portsNamed(text string) (found []Endpoint) {
	line := words(text)
	for i, w := range line {
		if w.text != "port" || i+1 == len(line) {
			continue
		}
		n, err := strconv.ParseUint(line[i+1].text, 10, 16)
		if err == nil && (i+2 == len(line) || line[i+2].start != line[i+1].end+1 ||
			!isNumber(line[i+2].text)) {
			found = append(found, Endpoint{Port: uint16(n)})
		}
	}
	return found
}
