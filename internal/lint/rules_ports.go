package lint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// portRules are about local ports.
var portRules = []rule{
	{key: "net.ipv4.ip_local_port_range", judge: judgeRange},
	{key: "net.ipv4.ip_local_reserved_ports", judge: judgeReserved},
	{key: "net.ipv4.ip_unprivileged_port_start", judge: judgePortStart},
	{key: "net.ipv4.ip_autobind_reuse", judge: judgeAutobind},
	{
		key: "net.ipv4.ip_local_port_step_width",
		does: "Where a port is taken, connect() goes on by a random step of at most {v} " +
			"(with {d}, the default, by one step after the other), so that the ports " +
			"behind reserved ones are not used more often than others. All ports are " +
			"tried before it fails: the line adds none, and a step as wide as the " +
			"range makes the search of a full one slower.",
	},
}

// defaultRange is what the kernel has at its start; the end is 61000 before 4.2.
var defaultLow, defaultHigh = func() (low, high int64) {
	v := numbers(knob.Usual("net.ipv4.ip_local_port_range"), 2)
	return v.n[0], v.n[1]
}()

// wellKnown are ports of servers above 1023 that a wide range takes in.
var wellKnown = []int64{1433, 1521, 2181, 2379, 3000, 3306, 5432, 5672, 6379, 6443, 8000, 8080,
	8443, 9000, 9042, 9090, 9092, 9200, 10250, 11211, 27017}

func judgeRange(c *evaluation) {
	if len(c.n) == 1 {
		c.n = append(c.n, defaultHigh)
		if text, ok := c.running(c.key); ok {
			if v := numbers(text, 2); len(v.n) == 2 {
				c.n[1] = v.n[1]
			}
		}
	}
	low, high := c.n[0], c.n[1]
	if low > high {
		c.notef(OutOfBounds, "The kernel refuses it (EINVAL): the low end, %d, is above "+
			"the high end, %d.", low, high)
		return
	}
	if start, from, ok := c.before("net.ipv4.ip_unprivileged_port_start"); ok &&
		c.since(4, 11) && low < start {
		c.notef(OutOfBounds, "The kernel refuses it (EINVAL): the low end, %d, is below "+
			"ip_unprivileged_port_start, %d (%s).", low, start, from)
		return
	}
	n := high - low + 1
	is := fmt.Sprintf("%s ports instead of the default %s (%d-%d)", count(n),
		count(defaultHigh-defaultLow+1), defaultLow, defaultHigh)
	const each = "; as many connections are possible from each source address to each " +
		"destination address and port. The next connect() sees it."
	switch {
	case n < defaultHigh-defaultLow+1:
		c.note(BelowDefault, "Leaves "+is+each, c.rule.Source)
	case low == defaultLow && high == defaultHigh:
		c.notef(Effective, "%s ports, the default%s", count(n), each)
	default:
		c.note(Effective, "Gives "+is+each, c.rule.Source)
		c.judgeWide(low, high)
	}
	if (low^high)&1 == 0 {
		c.caution("The kernel logs that it prefers ends of different parity (one even, " +
			"one odd).")
	}
}

// judgeWide looks for servers in a range that begins lower than it did.
func (c *evaluation) judgeWide(low, high int64) {
	reserved, known := c.reservedPorts()
	listening, seen := c.listening()
	if seen {
		inside := without(listening.Within(low, high), reserved)
		if now, ok := c.runningRange(); ok {
			inside = without(inside, now)
		}
		if inside.Len() > 0 {
			c.notes = nil
			c.note(Harmful,
				fmt.Sprintf("The wider range takes in ports that something "+
					"listens on here: %s. While such a server restarts, a "+
					"client connection can take its port, and the server "+
					"then fails with EADDRINUSE. Set ip_local_reserved_ports "+
					"= %s with it, or begin the range above.",
					cut(inside.String(), 80),
					cut(reserved.Union(inside).String(), 80)),
				c.rule.Source+"; net/ipv4/inet_connection_sock.c "+
					"inet_csk_bind_conflict")
		}
		return
	}
	var in []string
	for _, p := range wellKnown {
		if p >= low && p <= high && !reserved.Has(uint16(p)) {
			in = append(in, strconv.FormatInt(p, 10))
		}
	}
	if len(in) > 0 && !known {
		c.caution("Ports of servers lie in it (" + strings.Join(in[:min(len(in), 8)],
			", ") + " and others): what listens there has to be in " +
			"ip_local_reserved_ports, or a client connection can take its port " +
			"while it restarts (EADDRINUSE).")
	}
}

func without(s, minus host.PortSet) host.PortSet {
	var out host.PortSet
	for p := range 65536 {
		if s.Has(uint16(p)) && !minus.Has(uint16(p)) {
			out.Add(uint16(p))
		}
	}
	return out
}

// reservedPorts are those that the files, or else the host, keep out of the range; known
// says that somebody thought of them.
func (c *evaluation) reservedPorts() (set host.PortSet, known bool) {
	text, ok := "", false
	if s, found := c.otherSetting("net.ipv4.ip_local_reserved_ports"); found {
		text, ok = s.value, true
	} else {
		text, ok = c.running("net.ipv4.ip_local_reserved_ports")
	}
	set, err := host.ParsePorts(text)
	if err != nil || !ok {
		return host.PortSet{}, false
	}
	return set, set.Len() > 0
}

// listening are the ports that something listens on, where that was observed.
func (c *evaluation) listening() (host.PortSet, bool) {
	f := host.Ports("listening")
	if !c.read.Has(f) {
		return host.PortSet{}, false
	}
	set, err := host.ParsePorts(c.read.Optional(f))
	return set, err == nil
}

// runningRange are the ports of the range as it is now: what listens there is no news.
func (c *evaluation) runningRange() (host.PortSet, bool) {
	text, ok := c.running("net.ipv4.ip_local_port_range")
	v := numbers(text, 2)
	if !ok || len(v.n) != 2 || sameText(text, c.value) {
		return host.PortSet{}, false
	}
	set, err := host.ParsePorts(fmt.Sprintf("%d-%d", v.n[0], v.n[1]))
	return set, err == nil
}

// cut shortens a list.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if i := strings.LastIndexByte(s[:most], ','); i > 0 {
		return s[:i] + ",..."
	}
	return s[:most] + "..."
}

func judgeReserved(c *evaluation) {
	set, err := host.ParsePorts(c.value)
	if err != nil {
		c.note(OutOfBounds, "The kernel refuses it (EINVAL): "+err.Error()+".",
			c.rule.Source)
		return
	}
	if set.Len() == 0 {
		c.say(Effective,
			"Empties the list, which is the default: connect() and bind(0) may "+
				"choose any port of ip_local_port_range.")
		return
	}
	low, high := int64(defaultLow), int64(defaultHigh)
	if r, ok := c.rangeBy(c.otherSetting); ok {
		low, high = r[0], r[1]
	}
	inside := set.Within(low, high)
	c.notef(Effective, "connect() and bind(0) skip %s ports, %s of them in the range "+
		"%d-%d; an explicit bind() still gets them. The line replaces the "+
		"whole list.", count(set.Len()), count(inside.Len()), low, high)
}

// rangeBy is ip_local_port_range as the lines set it, or as it is now.
func (c *evaluation) rangeBy(otherSetting func(string) (setting, bool)) (r [2]int64, ok bool) {
	text, ok := "", false
	if s, found := otherSetting("net.ipv4.ip_local_port_range"); found {
		text, ok = s.value, true
	} else {
		text, ok = c.running("net.ipv4.ip_local_port_range")
	}
	v := numbers(text, 2)
	if !ok || len(v.n) != 2 {
		return r, false
	}
	return [2]int64{v.n[0], v.n[1]}, true
}

func judgePortStart(c *evaluation) {
	v := c.n[0]
	if r, ok := c.rangeBy(c.earlier); ok && v > r[0] || !ok && v > defaultLow {
		low := int64(defaultLow)
		if ok {
			low = r[0]
		}
		c.notef(OutOfBounds, "The kernel refuses it (EINVAL): %s is above the low end "+
			"of ip_local_port_range, %d.", count(v), low)
		return
	}
	c.notef(Effective, "Programs without privilege may listen from port %d on (%d by "+
		"default), and ip_local_port_range may begin there.", v, c.usual(c.key))
}

func judgeAutobind(c *evaluation) {
	if c.n[0] == 0 {
		c.say(Effective, "bind(0) gives out free ports only; that is the default.")
		return
	}
	c.say(Harmful,
		"bind(0) may give out a port in use where all its users set SO_REUSEADDR; it "+
			"does not look at the destination, so connect() then fails with "+
			"EADDRNOTAVAIL at random (measured). Use IP_BIND_ADDRESS_NO_PORT instead.")
}
