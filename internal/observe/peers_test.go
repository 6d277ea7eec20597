package observe

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// feed counts one socket of a numbered destination, as tally.outbound does.
func feed(p *peers, destination uint32, s sockdiag.State) {
	var k peerKey
	binary.BigEndian.PutUint32(k.destination[12:], destination)
	row := p.at(&k)
	row.states[s]++
	row.sockets++
}

func destinationOf(k peerKey) uint32 { return binary.BigEndian.Uint32(k.destination[12:]) }

// checkPeers holds the table to its promises, given what it was fed.
func checkPeers(t *testing.T, p *peers, truth map[uint32]uint32) {
	t.Helper()
	if len(p.rows) > p.max || len(p.index) != len(p.rows) {
		t.Fatalf("%d rows, %d in the index, at most %d allowed", len(p.rows), len(p.index),
			p.max)
	}
	total, counted := int64(0), p.rest.sum()
	for _, n := range truth {
		total += int64(n)
	}
	for i := range p.rows {
		row := &p.rows[i]
		d := destinationOf(row.key)
		counted += int64(row.sockets)
		if row.states.sum() != int64(row.sockets) || row.fold > p.floor {
			t.Fatalf("row %d: %d sockets, states %v, fold %d of %d", d, row.sockets,
				row.states, row.fold, p.floor)
		}
		if row.sockets > truth[d] || row.most() < truth[d] {
			t.Fatalf("row %d: %d and up to %d more, but there are %d", d, row.sockets,
				row.fold, truth[d])
		}
		delete(truth, d)
	}
	for d, n := range truth {
		if n > p.floor {
			t.Fatalf("destination %d has %d sockets and no row; the table says at "+
				"most %d", d, n, p.floor)
		}
	}
	if counted != total {
		t.Fatalf("%d sockets in the rows and the rest, %d were fed", counted, total)
	}
	if int64(p.floor) > 2*total/int64(p.max) {
		t.Fatalf("floor %d after %d sockets in %d rows", p.floor, total, p.max)
	}
}

// A million destinations of one socket each, and few with many: the table stays small and the few
// stay right.
func TestPeersAreBounded(t *testing.T) {
	p, truth := newPeers(maxPeers), map[uint32]uint32{}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range uint32(1_000_000) {
		d := i + 1000
		if i%10 == 0 {
			d = r.Uint32N(20)
		}
		truth[d]++
		feed(p, d, sockdiag.Established)
	}
	if cap(p.rows) > 2*maxPeers {
		t.Errorf("room for %d rows", cap(p.rows))
	}
	shown, rest, largest := p.heaviest(20, 4)
	for _, row := range shown {
		d := destinationOf(row.key)
		if d >= 20 || row.sockets != truth[d] {
			t.Errorf("destination %d is shown with %d sockets, has %d", d, row.sockets,
				truth[d])
		}
	}
	if rest.sum() != 900_000 || largest > 2*1_000_000/maxPeers {
		t.Errorf("the rest is %d sockets, at most %d to one destination", rest.sum(),
			largest)
	}
	checkPeers(t, p, truth)
}

// Nothing is lost or made up where there is room for all.
func TestPeersWithRoomAreExact(t *testing.T) {
	p, truth := newPeers(64), map[uint32]uint32{}
	r := rand.New(rand.NewPCG(7, 8))
	for range 10_000 {
		d := r.Uint32N(64)
		truth[d]++
		feed(p, d, sockdiag.TimeWait)
	}
	if p.floor != 0 || len(p.rows) != 64 {
		t.Errorf("floor %d, %d rows", p.floor, len(p.rows))
	}
	checkPeers(t, p, truth)
}

// Rows with much TIME_WAIT or CLOSE_WAIT are shown beside heavier ones.
func TestHeaviestShowsStatesThatLimitsAreAbout(t *testing.T) {
	p := newPeers(64)
	add := func(d uint32, n int, s sockdiag.State) {
		for range n {
			feed(p, d, s)
		}
	}
	add(1, 100, sockdiag.Established)
	add(2, 90, sockdiag.Established)
	add(3, 40, sockdiag.CloseWait)
	add(4, worthShowing-1, sockdiag.CloseWait)
	add(5, 50, sockdiag.TimeWait)
	add(6, 45, sockdiag.TimeWait)
	shown, rest, largest := p.heaviest(2, 1)
	var got []uint32
	for _, row := range shown {
		got = append(got, destinationOf(row.key))
	}
	if len(got) != 4 || got[0] != 1 || got[1] != 2 || got[2] != 3 || got[3] != 5 {
		t.Errorf("shown are %v", got)
	}
	if rest.sum() != 45+worthShowing-1 || largest != 45 {
		t.Errorf("rest %v, largest %d", rest, largest)
	}
}

func FuzzPeers(f *testing.F) {
	f.Add([]byte{1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 1,
		1})
	f.Fuzz(func(t *testing.T, sequence []byte) {
		p, truth := newPeers(8), map[uint32]uint32{}
		for _, b := range sequence {
			truth[uint32(b)]++
			feed(p, uint32(b), sockdiag.State(1+b%9))
		}
		p.heaviest(3, 2)
		checkPeers(t, p, truth)
	})
}
