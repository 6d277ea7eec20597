package procfs

import "strings"

// ParseSockstat reads /proc/net/sockstat or sockstat6: lines such as
// "TCP: inuse 5 orphan 0 tw 0 alloc 6 mem 1". It calls each for every number
// in the order of the file, with the kernel's own text. A line that is not well
// formed is skipped whole and named in the error; the others are delivered.
//
// inuse and tw are of the network namespace; orphan, alloc and mem (pages) are
// of the host (net/ipv4/proc.c sockstat_seq_show). Only sockstat6 counts the
// IPv6 sockets in use.
func ParseSockstat(b []byte, each func(proto, name, value string)) error {
	l := newLines("sockstat", b)
	if len(b) == 0 {
		return l.wholef("is empty")
	}
	var bad failures
	for {
		line, ok := l.next()
		if !ok {
			return bad.orNil()
		}
		if err := l.sockstat(line, each); err != nil {
			bad = append(bad, err)
		}
	}
}

func (l *lines) sockstat(line string, each func(proto, name, value string)) error {
	proto, rest, ok := strings.Cut(line, ":")
	if !ok || !isName(proto) {
		return l.errorf("%s does not begin with a protocol", clip(line))
	}
	if l.cut {
		return l.errorf("%s: cut short: no newline at the end", clip(proto))
	}
	words := strings.Fields(rest)
	if len(words)%2 != 0 {
		return l.errorf("%s: %s has no value", clip(proto), clip(words[len(words)-1]))
	}
	for i := 0; i < len(words); i += 2 {
		if !isName(words[i]) || !isInteger(words[i+1]) {
			return l.errorf("%s: %s %s is not a name and a number", clip(proto),
				clip(words[i]), clip(words[i+1]))
		}
	}
	for i := 0; i < len(words); i += 2 {
		each(proto, words[i], words[i+1])
	}
	return nil
}
