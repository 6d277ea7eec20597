package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// portHolders is by what the ports towards a destination are held. What frees them follows from
// that, and not from how many there are.
type portHolders struct{ row host.Row }

// unanswered says that most are attempts to connect, and the peer does not answer.
func (h portHolders) unanswered() bool { return h.mostly("SYN_SENT") }

// leaked says that most are connections that the peer has closed and the program has not.
func (h portHolders) leaked() bool { return h.mostly("CLOSE_WAIT") }

func (h portHolders) mostly(state string) bool { return h.row.Count(state)*2 > h.row.Sockets() }

// stuck says that more ports would be held in the same way.
func (h portHolders) stuck() bool { return h.unanswered() || h.leaked() }

// words say in which states the connections are. TIME_WAIT does not count where connect() takes
// its ports over.
func (h portHolders) words(reused bool) string {
	words := []struct{ state, words string }{
		{"ESTABLISHED", "established connections"},
		{"SYN_SENT", "connections under way (SYN_SENT)"},
		{"CLOSE_WAIT",
			"connections that the peer has closed and the application has not " +
				"(CLOSE_WAIT)"},
		{"FIN_WAIT_2",
			"connections that the application has closed and the peer has not " +
				"(FIN_WAIT_2)"},
		{"TIME_WAIT", "connections in TIME_WAIT"},
	}
	var parts []string
	for _, w := range words {
		switch n := h.row.Count(w.state); {
		case reused && w.state == "TIME_WAIT":
		case n == h.row.Sockets():
			return w.words
		case n > 0:
			parts = append(parts, figure.Count(n)+" "+w.words)
		}
	}
	return strings.Join(parts, " and ")
}

func (h portHolders) cause(r *host.Reader, p pool, used int64, reused bool) string {
	words := h.words(reused)
	switch {
	case used < p.usable:
		words += " use " + figure.Count(used) + " of " + plural(p.usable, "port") +
			"; above half of the range each connect() first searches the used half " +
			"in vain, which takes 20 to 40 times as long"
	case p.usable*2 <= p.size:
		lost, _ := lostPorts(r, p)
		words += " use all of what is left: " + lost
	default:
		words += " use all " + plural(p.usable, "port") +
			" of the range towards this destination"
	}
	switch {
	case h.unanswered():
		words += "; the peer does not answer" + readAttempt(r).words()
	case h.leaked():
		words += "; " + h.program() + " does not close its sockets"
	}
	return words
}

// program is who holds the ports.
func (h portHolders) program() string {
	if pid := h.row.Count("pid"); pid != 0 {
		return who(h.row.Text("process"), pid)
	}
	return "the program"
}

// remedies free the ports or, where they are in use, give need of them.
func (h portHolders) remedies(r *host.Reader, p pool, t twReuse, s twState, need int64) []Remedy {
	switch {
	case h.unanswered():
		return readAttempt(r).remedies(h.program())
	case h.leaked():
		return []Remedy{closeThem(h.program()), restartFrees}
	case p.band:
		return p.ownRange(0)
	}
	var out []Remedy
	if p.usable*2 <= p.size {
		_, back := lostPorts(r, p)
		out = append(out, back)
	}
	if p.size < usualRange { // narrower than the default: the first thing to fix
		out = append(out, p.wider(need)...)
	}
	if h.mostly("FIN_WAIT_2") {
		out = append(out, Remedy{
			Kind: ByTopology,
			Text: "have the peer close its end: until then, or until " +
				"tcp_fin_timeout, the port stays taken",
			TakesEffect: AtClose,
		})
	}
	out = append(out,
		Remedy{
			Kind: ByApplication,
			Text: "keep connections and use them again (a pool, HTTP " +
				"keep-alive): fewer connections to one destination",
			TakesEffect: AtStart,
		},
		Remedy{
			Kind: ByTopology,
			Text: "more source addresses (bind with " +
				"IP_BIND_ADDRESS_NO_PORT), or more destination addresses or " +
				"ports: each pair has " + plural(p.usable, "port") + " of its own",
			TakesEffect: AtConnect,
		},
	)
	if h.row.Count("TIME_WAIT") > 0 && s != twTaken {
		out = append(out, reuseRemedies(t, s)...)
	}
	if p.size >= usualRange {
		out = append(out, p.wider(need)...)
	}
	return out
}

// ownRange is what widens the range that the program gave its sockets.
func (p pool) ownRange(int64) []Remedy {
	return []Remedy{{
		Kind: ByApplication,
		Text: "give the sockets a wider IP_LOCAL_PORT_RANGE, or none: they have the " +
			plural(p.size, "port") + " from " + itoa(p.low) + " to " + itoa(p.high) +
			" of the namespace's range (HAProxy: source ADDRESS:LOW-HIGH)",
		TakesEffect: AtConnect,
	}}
}

// usualRange is how many ports the default range has.
const usualRange = 28232

// lostPorts says why a namespace has few ports although its range is wide, and what would
// give them back.
func lostPorts(r *host.Reader, p pool) (cause string, back Remedy) {
	left := plural(p.usable, "port") + " of " + figure.Count(p.size) +
		" left for outbound connections"
	switch {
	case p.reserved >= p.bound && p.reserved >= p.listening:
		return "net.ipv4.ip_local_reserved_ports takes " + plural(p.reserved, "port") +
				" of the range: " + left, Remedy{
				Kind:    BySetting,
				Setting: "net.ipv4.ip_local_reserved_ports",
				Text: "reserve only the ports that servers need: " +
					plural(p.reserved, "port") + " of the range are reserved",
				TakesEffect: Now,
			}
	case p.bound >= p.listening:
		most, sockets := largestBinder(r)
		whose := who(most.process, most.pid)
		if sockets < p.bound {
			whose = figure.Count(sockets) + " of them in " + whose
		}
		return plural(p.bound, "port") +
				" of the range are held by sockets that are bound and not " +
				"connected (" + whose + "): " + left, Remedy{
				Kind: ByApplication,
				Text: "close the bound sockets of " + who(most.process, most.pid) +
					" or set IP_BIND_ADDRESS_NO_PORT before bind(), so that " +
					"no port is held before connect()",
				TakesEffect: AtBind,
			}
	}
	return plural(p.listening, "port") + " of the range are held by listeners: " + left,
		Remedy{
			Kind:        ByApplication,
			Text:        "listen on ports outside ip_local_port_range",
			TakesEffect: AtBind,
		}
}

// attempt is how the kernel goes on with a SYN that nobody answers.
type attempt struct {
	retries, linear int64
	known           bool
}

var (
	synRetries = host.Sysctl("net.ipv4.tcp_syn_retries")
	synLinear  = host.Sysctl("net.ipv4.tcp_syn_linear_timeouts") // since 6.5

	attemptNeeds = []host.Fact{synRetries, synLinear}
)

func readAttempt(r *host.Reader) (a attempt) {
	a.retries, a.known = r.Maybe(synRetries)
	a.known = a.known && a.retries > 0
	a.linear, _ = r.Maybe(synLinear)
	return a
}

// seconds is how long an attempt lasts.
func (a attempt) seconds(retries int64) int64 {
	_, seconds := knob.SYNs(retries, a.linear)
	return seconds
}

func (a attempt) words() string {
	if !a.known {
		return ", and each attempt keeps its port until it is given up"
	}
	return ", and each attempt keeps its port for " + figure.Count(a.seconds(a.retries)) +
		" s (" + synRetries.Name + " = " + itoa(a.retries) + ")"
}

// fewRetries is two: a SYN that is lost twice is given up after 7 s.
const fewRetries = 2

func (a attempt) remedies(program string) []Remedy {
	out := []Remedy{{
		Kind: ByTopology,
		Text: "find out why nobody answers there: a route or a filter (firewall, " +
			"security group) that drops the SYN or the answer, or a host that is " +
			"down; more ports would be held in the same way",
		TakesEffect: Now,
	}, {
		Kind: ByApplication,
		Text: "a timeout for connect() in " + program + " (or TCP_SYNCNT on the " +
			"socket), and a pause before the next attempt",
		TakesEffect: AtStart,
	}}
	if !a.known || a.retries <= fewRetries {
		return out
	}
	return append(out, Remedy{
		Kind: BySetting, Setting: synRetries.Name, From: itoa(a.retries),
		To: itoa(fewRetries), TakesEffect: Now,
		Text: "give an attempt up after " + figure.Count(a.seconds(fewRetries)) +
			" s, ETIMEDOUT, and its port with it; those that wait now are given up " +
			"at their next SYN. By hand only: a peer behind a path that loses " +
			"packets is given up sooner as well",
	})
}
