package render

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// PortPage is what holds a local port that a program could not have.
type PortPage struct {
	Port    uint16   `json:"port"`
	Holders []Holder `json:"holders"`
	Unseen  string   `json:"unseen,omitempty"` // why holders may be missing
	// Ephemeral says that connect() may choose the port: it is in ip_local_port_range and not
	// reserved.
	Ephemeral bool `json:"ephemeral"`
	// Reserve is what net.ipv4.ip_local_reserved_ports has to be for connect() not to choose
	// it any more, "" where it does not now.
	Reserve string `json:"reserve,omitempty"`
}

// Holder is a socket with a local port.
type Holder struct {
	State   string `json:"state"`
	Local   string `json:"local"`
	Peer    string `json:"peer,omitempty"`
	Process string `json:"process"`
	PID     int64  `json:"pid"`
}

// AddressPage is whether an address that a program could not have is one of this namespace.
type AddressPage struct {
	Address string `json:"address"`
	Here    bool   `json:"here"`
	Link    string `json:"link,omitempty"`
}

// wantsPort says whether a text complains of a port that is taken, and WantedPorts which.
func wantsPort(e Explanation) bool {
	return slices.ContainsFunc(e.Signs, func(p SignPage) bool {
		return p.Errno == "EADDRINUSE"
	})
}

// WantedPorts are the local ports that a text says are taken. The snapshot has to say who holds
// them.
func WantedPorts(query string) (ports []uint16) {
	e, ok := Explain(query, host.Snapshot{})
	if !ok || !wantsPort(e) {
		return nil
	}
	for _, at := range limit.EndpointsIn(query) {
		if at.Port != 0 && !slices.Contains(ports, at.Port) {
			ports = append(ports, at.Port)
		}
	}
	return ports
}

// portPages says of each port that a text complains of who holds it.
func portPages(query string, s host.Snapshot) (pages []PortPage) {
	if s.Len() == 0 {
		return nil
	}
	for _, port := range WantedPorts(query) {
		pages = append(pages, portPage(port, s))
	}
	return pages
}

func portPage(port uint16, s host.Snapshot) PortPage {
	p, r := PortPage{Port: port, Holders: []Holder{}}, s.Read()
	for _, row := range r.Rows(host.HolderKind) {
		if local, peer, _ := strings.Cut(row.Name(), "->"); hasPort(local, port) {
			p.Holders = append(p.Holders, holder(row, row.Text("state"), local, peer))
		}
	}
	if len(p.Holders) == 0 { // a snapshot of another time knows listeners at least
		for _, row := range r.Rows(host.ListenerKind) {
			if local, _, _ := strings.Cut(row.Name(), "~"); hasPort(local, port) {
				p.Holders = append(p.Holders, holder(row, "LISTEN", local, ""))
			}
		}
		p.Unseen = holdersUnseen(r)
	}
	p.reservation(port, r)
	return p
}

// holdersUnseen is why nobody can tell who holds a port.
func holdersUnseen(r *host.Reader) string {
	if r.Has(host.Ports(host.LookedUp)) {
		return ""
	}
	if why := r.Why(host.Ports(host.LookedUp)); why != "" {
		return why
	}
	return "the snapshot lists listeners alone; explain the message on the host itself"
}

func holder(row host.Row, state, local, peer string) Holder {
	pid, _ := row.Int("pid")
	return Holder{State: state, Local: local, Peer: peer, PID: pid,
		Process: row.Text("process")}
}

func hasPort(address string, port uint16) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Port() == port
}

// reservation says whether connect() may choose the port, and what keeps it from that.
func (p *PortPage) reservation(port uint16, r *host.Reader) {
	reserved := r.Ports(host.Sysctl("net.ipv4.ip_local_reserved_ports"))
	low, high := r.Pair(host.Sysctl("net.ipv4.ip_local_port_range"))
	if r.Err() != nil || int64(port) < low || int64(port) > high || reserved.Has(port) {
		return
	}
	p.Ephemeral = true
	reserved.Add(port)
	p.Reserve = reserved.String()
}

// addressPages says of each address that bind() did not take whether it is one of this namespace.
func addressPages(e Explanation, s host.Snapshot) (pages []AddressPage) {
	if !slices.ContainsFunc(e.OtherCauses, func(c limit.OtherCause) bool {
		return c.Errno == "EADDRNOTAVAIL" && c.Given == 0
	}) {
		return nil
	}
	for _, at := range limit.EndpointsIn(e.Query) {
		if !at.Addr.IsValid() || at.Addr.IsUnspecified() ||
			s.Read().Partial(host.AddressKind) != "" || s.Len() == 0 {
			continue
		}
		row, here := s.Read().Row(host.AddressKind, at.Addr.Unmap().WithZone("").String())
		pages = append(pages, AddressPage{Address: at.Addr.String(), Here: here ||
			at.Addr.Is4() && at.Addr.IsLoopback(), Link: row.Text("link")})
	}
	return pages
}

// words says who holds the port.
func (h Holder) words() string {
	what := map[string]string{"LISTEN": "a listener on " + h.Local,
		"BOUND":     "a socket that is bound to " + h.Local + " and nothing else",
		"TIME_WAIT": "a connection in TIME_WAIT, " + h.Local + " to " + h.Peer,
	}[h.State]
	if what == "" {
		what = "a connection of this host, " + h.Local + " to " + h.Peer + " (" + h.State +
			")"
	}
	if h.PID != 0 {
		what += ", of " + h.Process + " (pid " + strconv.FormatInt(h.PID, 10) + ")"
	}
	return what
}

// line is a line of a page with its label.
type line struct{ label, words string }

// mostHolders is how many holders of a port are told.
const mostHolders = 5

// lines are the page for people: who holds the port, and what to do about it.
func (p PortPage) lines() (out []line) {
	for i, h := range p.Holders {
		if i == mostHolders {
			out = append(out, line{"", "+ " + count(int64(len(p.Holders)-i)) + " more"})
			break
		}
		out = append(out, line{"held by", h.words()})
	}
	if len(p.Holders) == 0 && p.Unseen == "" {
		out = append(out, line{"held by", "nobody now, in this network namespace"})
	}
	if p.Unseen != "" {
		out = append(out, line{"not seen", p.Unseen})
	}
	for _, words := range p.advice() {
		out = append(out, line{"remedy", words})
	}
	return out
}

func (h Holder) is(states ...string) bool { return slices.Contains(states, h.State) }

// advice is what to do about a port that is held.
func (p PortPage) advice() (out []string) {
	listens := slices.ContainsFunc(p.Holders, func(h Holder) bool { return h.is("LISTEN") })
	open := slices.ContainsFunc(p.Holders, func(h Holder) bool {
		return !h.is("LISTEN", "TIME_WAIT")
	})
	switch {
	case listens:
		out = append(out, "end the program that listens, or have one of the two use "+
			"another port or address")
	case open:
		out = append(out, "the server gets the port once that socket is closed: end it, "+
			"or wait")
	case len(p.Holders) > 0:
		out = append(out, "SO_REUSEADDR before bind() lets a server have a port whose "+
			"connections are all in TIME_WAIT")
	}
	if p.Ephemeral {
		out = append(out, "connect() may choose this port, which is in "+
			"ip_local_port_range: reserve it, so that no client takes it again: "+
			"sysctl -w net.ipv4.ip_local_reserved_ports="+p.Reserve)
	}
	return out
}

// words says whether the address can be had.
func (a AddressPage) words() string {
	switch {
	case a.Here && a.Link != "":
		return a.Address + " is an address of " + a.Link + " in this network namespace now"
	case a.Here:
		return a.Address + " is a local address of this network namespace now"
	}
	return a.Address + " is no address of this network namespace"
}
