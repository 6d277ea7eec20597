package observe

import (
	"math/rand/v2"
	"testing"
)

// A winner is more than half of the stream, always; and more than two thirds in a row always wins.
func TestMajority(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	won := 0
	for range 5000 {
		var m majority
		seen := map[uint32]int{}
		n := 1 + r.IntN(40)
		for range n {
			x := 1 + r.Uint32N(3)*r.Uint32N(2)
			seen[x]++
			m.add(x)
		}
		x, ok := m.winner(0, 0)
		if ok && seen[x]*2 <= n {
			t.Fatalf("%d of %v wins", x, seen)
		}
		if ok {
			won++
		}
	}
	if won < 1000 {
		t.Errorf("only %d streams had a winner", won)
	}
}

func TestMajorityOfASample(t *testing.T) {
	for _, c := range []struct {
		hits, others    int
		unknown, hidden uint32
		want            bool
	}{
		{10, 0, 0, 0, true},
		{1, 0, 10000, 0, true},    // all of a fair sample
		{10, 0, 90, 90, false},    // the other 90 may all be somebody else's
		{10, 0, 90, 10, true},     // at most 10 may
		{6, 4, 90, 10, true},      // 6 of 10 of the 90 that can be seen are 54 of 100
		{6, 4, 90, 20, false},     // 48 of 100
		{0, 0, 100, 0, false},     // nobody was seen
		{10, 0, 0, 1 << 20, true}, // nothing is left for the hidden
	} {
		var m majority
		for range c.hits {
			m.add(7)
		}
		for range c.others {
			m.add(8)
		}
		if _, ok := m.winner(c.unknown, c.hidden); ok != c.want {
			t.Errorf("%+v: %v", c, ok)
		}
	}
}
