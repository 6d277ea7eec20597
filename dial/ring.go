package dial

// ring counts events by the second, for as many seconds as it has buckets. Seconds only grow; an
// event of the past is counted in the newest second.
type ring struct {
	newest  int64
	buckets []uint32
}

func newRing(seconds int) *ring { return &ring{buckets: make([]uint32, seconds)} }

func (r *ring) add(second int64) {
	r.advance(second)
	r.buckets[r.newest%int64(len(r.buckets))]++
}

func (r *ring) advance(second int64) {
	if second-r.newest >= int64(len(r.buckets)) {
		clear(r.buckets)
		r.newest = second
	}
	for r.newest < second {
		r.newest++
		r.buckets[r.newest%int64(len(r.buckets))] = 0
	}
}

// sum counts the events of the seconds from..to, both included. A nil ring has none.
func (r *ring) sum(from, to int64) (n int) {
	if r == nil {
		return 0
	}
	for s := max(from, r.newest-int64(len(r.buckets))+1); s <= min(to, r.newest); s++ {
		if s >= 0 {
			n += int(r.buckets[s%int64(len(r.buckets))])
		}
	}
	return n
}
