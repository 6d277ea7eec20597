package observe

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// peerKey is a local address and a destination. IPv4 addresses are in their IPv6 form.
type peerKey struct {
	source, destination [16]byte
	port                uint16
}

func (k peerKey) compare(l peerKey) int {
	return cmp.Or(bytes.Compare(k.source[:], l.source[:]),
		bytes.Compare(k.destination[:], l.destination[:]), cmp.Compare(k.port, l.port))
}

// peer is the connections of one local address to one destination.
type peer struct {
	key     peerKey
	states  states
	sockets uint32
	ranged  uint32
	aged    uint32 // of ranged, in TIME_WAIT for longer than the delay of tcp_tw_reuse
	// fold is how many sockets the row may lack: those that came while the table was
	// too full to hold it.
	fold        uint32
	local       uint16 // port of the first socket
	votes       votes
	established sockdiag.ID // one of them; its Cookie is 0 where there is none
	closing     sample      // of those in CLOSE_WAIT
}

// most is the largest number of sockets that the row can stand for.
func (p *peer) most() uint32 { return p.sockets + p.fold }

// peers is a table of at most max rows, however many destinations there are. When it is full, the
// lighter half of the rows is summed up in rest and let go. This is the summary of Misra and Gries
// ("Finding repeated elements", 1982) with its decrements kept apart as floor: no row lacks more
// than floor sockets, no destination that has more is missing, and floor never exceeds 2/max of all
// sockets, because each rise of floor by one takes one socket from at least half of the rows.
type peers struct {
	max   int
	rows  []peer
	index map[peerKey]int32
	// recent are rows asked for last, by the last bits of the destination.
	recent [64]int32
	floor  uint32
	rest   states
	// full, unless nil, is called before rows are let go, and may take some out.
	full func()
}

func newPeers(max int) *peers {
	return &peers{max: max, index: make(map[peerKey]int32)}
}

// at is the row of a key, valid until the next call.
func (t *peers) at(k *peerKey) *peer {
	recent := &t.recent[(k.port^uint16(k.destination[15]))%uint16(len(t.recent))]
	if i := int(*recent); i < len(t.rows) && t.rows[i].key == *k {
		return &t.rows[i]
	}
	i, ok := t.index[*k]
	if !ok {
		i = t.add(k)
	}
	*recent = i
	return &t.rows[i]
}

// add makes a row, and room for it.
func (t *peers) add(k *peerKey) int32 {
	if len(t.rows) >= t.max && t.full != nil {
		t.full()
	}
	if len(t.rows) >= t.max {
		t.shrink()
	}
	i := int32(len(t.rows))
	t.index[*k] = i
	t.rows = append(t.rows, peer{key: *k, fold: t.floor})
	return i
}

// shrink drops the lighter half of the rows, and all that are as light as the heaviest of that
// half.
func (t *peers) shrink() {
	weights := make([]uint32, len(t.rows))
	for i := range t.rows {
		weights[i] = t.rows[i].most()
	}
	slices.Sort(weights)
	t.floor = weights[len(weights)/2]
	kept := t.rows[:0]
	clear(t.index)
	for i := range t.rows {
		if t.rows[i].most() <= t.floor {
			t.rest.add(&t.rows[i].states)
			continue
		}
		t.index[t.rows[i].key] = int32(len(kept))
		kept = append(kept, t.rows[i])
	}
	clear(t.rows[len(kept):]) // lets go of their samples
	t.rows = kept
}

// heaviest lists the rows to show, in the order of their keys: the n with most sockets, and the few
// with most in a state that some limit is about. What is left out is summed up; largest is the
// heaviest row among it, or the most that a dropped row may have.
func (t *peers) heaviest(n, few int) (shown []*peer, rest states, largest int64) {
	byWeight := make([]*peer, len(t.rows))
	for i := range t.rows {
		byWeight[i] = &t.rows[i]
	}
	slices.SortFunc(byWeight, heavier(func(p *peer) uint32 { return p.sockets }))
	shown = byWeight[:min(n, len(byWeight))]
	left := byWeight[len(shown):]
	for _, s := range []sockdiag.State{sockdiag.TimeWait, sockdiag.CloseWait} {
		slices.SortFunc(left, heavier(func(p *peer) uint32 { return p.states[s] }))
		end := min(few, len(left))
		for end > 0 && left[end-1].states[s] < worthShowing {
			end--
		}
		shown, left = byWeight[:len(shown)+end], left[end:]
	}
	rest, largest = t.rest, int64(t.floor)
	for _, p := range left {
		rest.add(&p.states)
		largest = max(largest, int64(p.most()))
	}
	shown = slices.Clone(shown)
	slices.SortFunc(shown, func(a, b *peer) int { return a.key.compare(b.key) })
	return shown, rest, largest
}

// worthShowing is the number of sockets in TIME_WAIT or CLOSE_WAIT from which a row is shown
// although others have more sockets.
const worthShowing = 32

func heavier(weight func(*peer) uint32) func(a, b *peer) int {
	return func(a, b *peer) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), a.key.compare(b.key))
	}
}
