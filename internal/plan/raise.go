package plan

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// value is the text of a fact or of a field of a row.
func value(s host.Snapshot, f host.Fact) (string, bool) {
	row, field, isField := strings.Cut(f.Name, "#")
	x, ok := s.Lookup(host.Fact{Kind: f.Kind, Name: row})
	if !ok || x.Err != "" {
		return "", false
	}
	if !isField {
		return x.Text, true
	}
	r, _ := s.Read().Row(f.Kind, row)
	return r.Fields.Lookup(field)
}

// Raises says whether a change gives more than there was, as each change of a plan does,
// and is of no setting that no plan touches.
func (c Change) Raises() bool { return raises(c.Target.Fact(), c.From, c.To) }

// raises says whether a value gives more than another and nothing less: a plan lowers nothing.
func raises(f host.Fact, from, to string) bool {
	if f.Kind == host.SysctlKind {
		if k := knob.Lookup(f.Name); k != nil && k.Never != "" {
			return false
		}
		switch f.Name {
		case "net.ipv4.ip_local_reserved_ports":
			return widens(from, to)
		case "net.ipv4.ip_local_port_range":
			return stretches(from, to)
		case "net.ipv4.tcp_tw_reuse":
			return to == "1" && (from == "0" || from == "2")
		case "net.ipv4.tcp_timestamps", "net.ipv4.tcp_syncookies":
			return from == "0" && to == "1"
		}
	}
	return grows(from, to)
}

// grows compares as many numbers as there are, each with its own.
func grows(from, to string) (more bool) {
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

// widens compares lists of ports: all that were there are, and more.
func widens(from, to string) bool {
	a, err1 := host.ParsePorts(from)
	b, err2 := host.ParsePorts(to)
	return err1 == nil && err2 == nil && a != b && a.Union(b) == b
}

// stretches compares ranges: the one lies inside the other.
func stretches(from, to string) bool {
	a, b := strings.Fields(from), strings.Fields(to)
	if len(a) != 2 || len(b) != 2 {
		return false
	}
	lowDown, lowSame := grows(b[0], a[0]), a[0] == b[0]
	highUp, highSame := grows(a[1], b[1]), a[1] == b[1]
	return (lowDown && (highUp || highSame)) || (lowSame && highUp)
}
