package knob

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// Gives says whether the new value of a setting gives connections more than the old one and takes
// nothing away, as each change of a plan does. Where no row says what that is, more is a larger
// number.
func Gives(name, from, to string) bool {
	switch k := Lookup(name); {
	case k != nil && k.Never != "":
		return false
	case k != nil && k.Plan != nil && k.Plan.gives != nil:
		return k.Plan.gives(from, to)
	}
	return larger(from, to)
}

// larger compares as many numbers as there are, each with its own.
func larger(from, to string) (more bool) {
	a, b := strings.Fields(from), strings.Fields(to)
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	for i := range a {
		x, err1 := strconv.ParseInt(a[i], 10, 64)
		y, err2 := strconv.ParseInt(b[i], 10, 64)
		if err1 != nil || err2 != nil || y < x {
			return false
		}
		more = more || y > x
	}
	return more
}

// morePorts compares lists of ports: all that were there are, and more.
func morePorts(from, to string) bool {
	a, err1 := host.ParsePorts(from)
	b, err2 := host.ParsePorts(to)
	return err1 == nil && err2 == nil && a != b && a.Union(b) == b
}

// wider compares ranges: the one lies inside the other.
func wider(from, to string) bool {
	a, b := strings.Fields(from), strings.Fields(to)
	if len(a) != 2 || len(b) != 2 {
		return false
	}
	lowDown, lowSame := larger(b[0], a[0]), a[0] == b[0]
	highUp, highSame := larger(a[1], b[1]), a[1] == b[1]
	return (lowDown && (highUp || highSame)) || (lowSame && highUp)
}

// allPeers is tcp_tw_reuse, of which 1 is more than 2.
func allPeers(from, to string) bool { return to == "1" && (from == "0" || from == "2") }

// shorter is a time of which less is more where it is longer than a usual one: tcp_fin_timeout than
// TIME_WAIT, tcp_tw_reuse_delay than its default.
func shorter(usual string) func(from, to string) bool {
	return func(from, to string) bool { return to == usual && larger(to, from) }
}
