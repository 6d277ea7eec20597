package observe

// majority finds what more than half of a stream is, with three counters (Boyer and Moore, "MJRTY",
// 1991). The zero value is ready.
type majority struct {
	candidate uint32
	lead      uint32 // by how much the candidate is ahead
	hits      uint32 // of the candidate since it became one: not more than it has had
	of        uint32
}

func (m *majority) add(x uint32) {
	m.of++
	switch {
	case m.candidate == x && m.lead > 0:
		m.lead++
		m.hits++
	case m.lead == 0:
		m.candidate, m.lead, m.hits = x, 1, 1
	default:
		m.lead--
	}
}

// winner is the value that is more than half of a whole of which the stream was a fair sample, but
// for those of unknown that may be hidden from it. A narrow majority may be missed.
func (m *majority) winner(unknown, hidden uint32) (x uint32, ok bool) {
	all := uint64(m.of) + uint64(unknown)
	sampled := all - uint64(min(unknown, hidden))
	return m.candidate, m.lead > 0 && 2*uint64(m.hits)*sampled > uint64(m.of)*all
}
