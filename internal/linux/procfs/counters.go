package procfs

import "strings"

// ParseCounters reads /proc/net/netstat or /proc/net/snmp: pairs of lines, one
// with the names of a protocol's counters and one with their values. It calls
// each for every counter in the order of the file. A value is the kernel's own
// decimal text: up to 2^64-1, and negative where the kernel says so (MaxConn
// is -1).
//
// Names are not interpreted: they grow in the middle of a line from release to
// release. One protocol may have several pairs (IcmpMsg prints 16 message types
// a pair; net/ipv4/proc.c icmpmsg_put). A pair that is not well formed is
// skipped whole and named in the error; the others are delivered.
func ParseCounters(b []byte, each func(proto, name, value string)) error {
	l := newLines("snmp counters", b)
	if len(b) == 0 {
		return l.wholef("is empty")
	}
	var bad failures
	for {
		head, ok := l.next()
		if !ok {
			return bad.orNil()
		}
		if err := l.pair(head, each); err != nil {
			bad = append(bad, err)
		}
	}
}

// pair reads the values that follow a header line. Values that are missing are
// not consumed, so that the next pair can still be read.
func (l *lines) pair(head string, each func(proto, name, value string)) error {
	proto, rest, ok := strings.Cut(head, ":")
	if !ok || !isName(proto) {
		return l.errorf("%s is not a header line", clip(head))
	}
	names := strings.Fields(rest)
	for _, name := range names {
		if !isName(name) {
			return l.errorf("%s: %s is not the name of a counter", clip(proto),
				clip(name))
		}
	}
	line, ok := l.peek()
	text, same := strings.CutPrefix(line, proto+":")
	values := strings.Fields(text)
	if !ok || !same || len(values) > 0 && isName(values[0]) {
		return l.errorf("%s: no values follow the header", clip(proto))
	}
	l.next()
	return l.deliver(proto, names, values, each)
}

func (l *lines) deliver(proto string, names, values []string,
	each func(proto, name, value string)) error {
	if l.cut {
		return l.errorf("%s: cut short: no newline at the end", clip(proto))
	}
	if len(names) != len(values) {
		return l.errorf("%s: %d values for %d names", clip(proto), len(values), len(names))
	}
	for i, value := range values {
		if !isInteger(value) {
			return l.errorf("%s: %s is %s, want a number", clip(proto), names[i],
				clip(value))
		}
	}
	for i, value := range values {
		each(proto, names[i], value)
	}
	return nil
}
