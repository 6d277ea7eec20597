package limit

import (
	"net/netip"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// twReuse is what decides whether connect() may take over a port whose last connection
// is in TIME_WAIT (net/ipv4/tcp_ipv4.c tcp_twsk_unique).
type twReuse struct {
	mode, stamps           int64 // tcp_tw_reuse, tcp_timestamps
	modeKnown, stampsKnown bool
	delay                  int64 // milliseconds after which such a port can be taken
	delayFrom              string
	delayGuessed           bool // the kernel may have another delay
	// tcp_tw_recycle could not be read, of a kernel that may have it
	recycleUnknown bool
	// no port has been taken over: in the window or, with one sample, ever
	idle bool
	// a kernel before 4.18, where any value but 0 means every destination
	everywhere bool
	recycle    bool // tcp_tw_recycle of a kernel before 4.12 is on
	// a kernel whose connect() takes one parity first (about 4.6, 1580ab63fc9a)
	parity bool
}

// The facts that readTWReuse reads.
var (
	reuseMode     = host.Sysctl("net.ipv4.tcp_tw_reuse")
	timestamps    = host.Sysctl("net.ipv4.tcp_timestamps")
	reuseDelay    = host.Sysctl("net.ipv4.tcp_tw_reuse_delay")
	recycleMode   = host.Sysctl("net.ipv4.tcp_tw_recycle")
	kernelRelease = host.System("kernel")

	recycledPorts = host.Counter("TcpExt.TWRecycled")

	twReuseNeeds = []host.Fact{reuseMode, timestamps, reuseDelay, kernelRelease, recycleMode,
		recycledPorts, host.All(host.AddressKind)}
)

// readTWReuse reads the settings. Where tcp_tw_reuse_delay is there it holds (6.14);
// before, whole seconds are compared: up to 1 s from 4.19 on (cca9bab1b72c), up to 2 s
// earlier.
func readTWReuse(r *host.Reader) twReuse {
	var t twReuse
	t.mode, t.modeKnown = r.Maybe(reuseMode)
	t.stamps, t.stampsKnown = r.Maybe(timestamps)
	kernel := r.Kernel()
	t.everywhere = kernel.Has(knob.LoopbackReuse) == host.No
	t.parity = !kernel.Before(4, 6)
	recycle, known := r.Maybe(recycleMode)
	gone, _ := knob.Lookup(tcpRecycle).Until.Reached(kernel)
	t.recycle = recycle != 0 && !gone
	t.recycleUnknown = !known && !gone && !host.IsAbsence(r.Why(recycleMode))
	t.idle = neverMoved(r, recycledPorts)
	if ms, ok := r.Maybe(reuseDelay); ok && ms > 0 {
		t.delay, t.delayFrom = ms, "net.ipv4.tcp_tw_reuse_delay"
		return t
	}
	t.delay, t.delayFrom = 1000, "a constant of kernel "+kernel.String()
	t.delayGuessed = (!kernel.Known() || kernel.Compare(knob.ReuseDelay) >= 0) &&
		!host.IsAbsence(r.Why(reuseDelay))
	if kernel.Known() && kernel.Has(knob.ReuseInOneSecond) != host.Yes {
		t.delay = 2000
	}
	if t.delayGuessed {
		t.delayFrom = "a kernel without net.ipv4.tcp_tw_reuse_delay"
	}
	return t
}

// neverMoved says that a counter stood still in the window or, with one sample, at zero.
func neverMoved(r *host.Reader, counter host.Fact) bool {
	if moved, ok := r.Moved(counter); ok {
		return moved == 0
	}
	total, known := r.Maybe(counter)
	return known && total == 0
}

// twState is what becomes of a port whose last connection is in TIME_WAIT.
type twState int

const (
	twUnknown twState = iota // a setting could not be read
	twTaken                  // connect() takes it after the delay
	// it does if the peer does timestamps, which no connection shows
	twPerhaps
	// the settings allow it, and although all ports are in TIME_WAIT none was taken over
	twIdle
	twYoung // connect() takes it after the delay, and none is that old
	twOff   // tcp_tw_reuse=0
	// tcp_tw_reuse=2 and neither address is a loopback address
	twLoopbackOnly
	twNoTimestamps     // tcp_timestamps=0 here
	twPeerNoTimestamps // timestamps are on here, the connections carry none
	twRecycled         // tcp_tw_recycle ends TIME_WAIT early
	twBound            // bind() chose the port, which connect() then skips
)

// state says what holds between two addresses; stamps is the field timestamps of their row.
func (t twReuse) state(loopback bool, stamps string) twState {
	switch {
	case t.recycle && t.stampsKnown && t.stamps != 0 && stamps != "no":
		return twRecycled
	case !t.modeKnown, t.recycle && !t.stampsKnown && stamps != "no":
		return twUnknown
	case t.mode == 0:
		return twOff
	case t.mode == 2 && !loopback && !t.everywhere:
		return twLoopbackOnly
	case !t.stampsKnown:
		return twUnknown
	case t.stamps == 0:
		return twNoTimestamps
	case stamps == "no":
		return twPeerNoTimestamps
	case stamps == "yes" || loopback:
		return twTaken
	}
	return twPerhaps
}

// why says in words why connect() does not take the ports over, or from when on it does.
func (t twReuse) why(s twState) string {
	reuse := "net.ipv4.tcp_tw_reuse = " + itoa(t.mode)
	switch s {
	case twOff:
		return reuse + " forbids connect() to take them over"
	case twLoopbackOnly:
		return reuse +
			" acts only where an address is a loopback address (127.0.0.0/8 or " +
			"::1), and here none is"
	case twNoTimestamps:
		return "net.ipv4.tcp_timestamps = 0 makes " + reuse +
			" useless: connect() takes over no TIME_WAIT whose connection had no " +
			"timestamps"
	case twPeerNoTimestamps:
		return reuse + " cannot take them over: although net.ipv4.tcp_timestamps = " +
			itoa(t.stamps) +
			", these connections carry no timestamps, so the peer or something on " +
			"the way does not do them"
	case twTaken:
		return "connect() takes over those that it chose itself, " + seconds(t.delay) +
			" after they closed (" + reuse + ")"
	case twPerhaps:
		return "connect() takes over those that it chose itself, " + seconds(t.delay) +
			" after they closed (" + reuse + "), if the peer does TCP timestamps, " +
			"which no open connection to its address shows"
	case twIdle:
		return "no port has been taken over (TWRecycled stands still) although " + reuse +
			" lets connect() do so " + seconds(t.delay) + " after they closed: most " +
			"likely the peer, or something on the way, does no TCP timestamps"
	case twYoung:
		return reuse + " lets connect() take them over only " + seconds(t.delay) +
			" after they closed (" + t.delayFrom + "), and none is that old"
	case twRecycled:
		return "net.ipv4.tcp_tw_recycle ends TIME_WAIT after 3.5 retransmission " +
			"timeouts, " + seconds(recycledAfter) +
			" at the earliest, where both ends use timestamps"
	case twBound:
		return "bind() chose these ports before connect() (inferred from their " +
			"parity): each is taken towards every destination, and tcp_tw_reuse " +
			"does not help"
	}
	return "whether connect() may take them over could not be seen"
}

// recycledAfter is 3.5 times the shortest retransmission timeout, in milliseconds
// (tcp_minisocks.c tcp_time_wait; TCP_RTO_MIN).
const recycledAfter = 700

// period is how long a port stays taken after its connection was closed here, in
// milliseconds; with tcp_tw_recycle at least.
func (t twReuse) period(s twState) int64 {
	switch s {
	case twTaken, twPerhaps, twYoung:
		return t.delay
	case twRecycled:
		return recycledAfter
	}
	return timeWaitSeconds * 1000
}

// shortest is how long a port stays taken at least: the rate that follows is never too low.
func (t twReuse) shortest(s twState) int64 {
	least := t.period(s)
	switch {
	case s == twUnknown || t.delayGuessed && least == t.delay:
		if least = t.delay; t.delayGuessed {
			least = 1 // the smallest value of tcp_tw_reuse_delay
		}
	case s == twIdle: // nobody may have tried
		least = t.delay
	}
	if t.recycleUnknown || t.recycle && s == twUnknown {
		least = min(least, recycledAfter)
	}
	return least
}

// unsure says whether ports may stay taken for longer than shortest.
func (t twReuse) unsure(s twState) bool {
	return s == twUnknown || s == twPerhaps || t.shortest(s) < t.period(s) ||
		t.recycleUnknown
}

// couldReuse says whether settings can make connect() take the ports over.
func (t twReuse) couldReuse(s twState) bool {
	return s == twTaken || s == twPerhaps || s == twYoung || s == twOff ||
		s == twLoopbackOnly || s == twNoTimestamps
}

// bindChose infers whether programs bind() to port 0 before they connect() from this
// address: bind(0) takes the parity first that connect() takes last
// (inet_csk_find_open_port, __inet_hash_connect), and a port of bind(0) never serves two
// destinations. ports is how many the address has in use, over all destinations.
func (t twReuse) bindChose(r *host.Reader, p pool, source string) (ports int64, inferred bool) {
	row, _ := r.Row(host.SourceKind, source)
	ports, _ = row.Int("ports")
	last, known := row.Int("opposite")
	shared, sharedKnown := row.Int("shared")
	half := p.size / 2
	if !known || !sharedKnown || !t.parity || p.band || ports < 8 || shared > 0 ||
		last*20 < min(ports, half)*19 {
		return ports, false
	}
	// both halves full tells nothing of one destination
	return ports, ports <= half || (ports-last)*20 < half*19 || row.Count("destinations") > 1
}

// mayShare says whether it is not known of a source address that its destinations have ports
// of their own.
func mayShare(r *host.Reader, source string) bool {
	row, ok := r.Row(host.SourceKind, source)
	for _, name := range []string{"ports", "opposite", "shared", "destinations"} {
		if _, known := row.Int(name); ok && !known {
			return true
		}
	}
	return !ok && r.Partial(host.SourceKind) != ""
}

// stateOf is the state for the connections of a row of outbound.
func (t twReuse) stateOf(r *host.Reader, p pool, row host.Row) twState {
	source, destination, _ := strings.Cut(row.Name(), "->")
	s := t.between(source, destination, row.Text("timestamps"))
	if s == twPerhaps && own(r, destination) {
		s = twTaken // the peer is this host, whose setting is known
	}
	_, bound := t.bindChose(r, p, source)
	reusable, known := row.Int("reusable")
	switch full := row.Count("ranged") >= p.usable && mostlyTimeWait(row); {
	case bound && s != twRecycled:
		return twBound
	case full && known && reusable == 0 && (s == twTaken || s == twPerhaps):
		return twYoung
	case full && s == twPerhaps && t.idle:
		return twIdle
	}
	return s
}

// own says whether a destination is an address of this network namespace.
func own(r *host.Reader, destination string) bool {
	address, err := netip.ParseAddrPort(destination)
	_, ok := r.Row(host.AddressKind, address.Addr().Unmap().String())
	return ok && err == nil
}

// between is the state for a source address and a destination with port.
func (t twReuse) between(source, destination, stamps string) twState {
	address := destination[:max(strings.LastIndex(destination, ":"), 0)]
	return t.state(isLoopback(source) || isLoopback(address), stamps)
}

// unseen says which settings could not be read, where the gauge would differ.
func (t twReuse) unseen(r *host.Reader, s twState) []host.Missing {
	switch {
	case s == twPerhaps:
		return []host.Missing{{Fact: host.Fact{Kind: host.OutboundKind, Name: "timestamps"},
			Why: "no open connection shows whether the peer does TCP timestamps"}}
	case (s == twTaken || s == twYoung) && t.delayGuessed:
		return []host.Missing{{Fact: reuseDelay, Why: unreadable(r, reuseDelay)}}
	case s != twUnknown:
		return nil
	case !t.modeKnown:
		return []host.Missing{{Fact: reuseMode, Why: unreadable(r, reuseMode)}}
	}
	return []host.Missing{{Fact: timestamps, Why: unreadable(r, timestamps)}}
}

// unreadable is why a fact gives no number.
func unreadable(r *host.Reader, f host.Fact) string {
	if why := r.Why(f); why != "" {
		return why
	}
	return "not a number that the kernel would take: " + r.Optional(f)
}

// isLoopback follows the rule of tcp_tw_reuse=2 for one address, without port.
func isLoopback(address string) bool {
	a := strings.Trim(address, "[]")
	return strings.HasPrefix(a, "127.") || a == "::1" || strings.HasPrefix(a, "::ffff:127.")
}

// seconds writes milliseconds as people say them: "1 s", "300 ms".
func seconds(ms int64) string {
	if ms%1000 == 0 {
		return figure.Count(ms/1000) + " s"
	}
	return figure.Count(ms) + " ms"
}
