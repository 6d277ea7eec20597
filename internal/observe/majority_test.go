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
			m.add(x, 1)
		}
		x, ok := m.winner(0, 0, 0)
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
	const all = 1 << 40
	for _, c := range []struct {
		why          string
		hits         int
		weight       float64
		others       int // each stands for itself
		unknown      uint32
		own, foreign uint64 // descriptors not looked at
		want         bool
	}{
		{"all are known", 10, 1, 0, 0, 0, 0, true},
		{"half is no majority", 5, 1, 5, 0, 0, 0, false},
		{"nobody else can have the others", 1, 1, 0, 10000, all, 0, true},
		{"nor 5,000 of them", 1, 1, 0, 10001, all, 5000, true},
		{"but half of them", 1, 1, 0, 10001, all, 5001, false},
		{"nor can the process itself", 10, 1, 0, 90, 0, 0, false},
		{"it has no more than 30 left", 10, 1, 0, 60, 30, 0, true},
		{"which is not enough", 10, 1, 0, 90, 30, 0, false},
		{"nobody was seen", 0, 1, 0, 100, all, 0, false},
		{"nothing is left for others", 10, 1, 0, 0, 0, all, true},
		{"a large fair sample", 100, 10, 0, 900, 9000, all, true},
		{"against a small process, known in full", 186, 10.7, 300, 1814, 9000, all, true},
		{"of less than half", 40, 10, 0, 960, 9000, all, false},
		{"a small one may be off", 9, 10, 0, 81, 9000, all, false},
		{"the small process loses to the unknown", 300, 1, 186, 1814, 0, all, false},
	} {
		var m majority
		for range c.others {
			m.add(8, 1)
		}
		for range c.hits {
			m.add(7, c.weight)
		}
		if x, ok := m.winner(c.unknown, c.own, c.foreign); ok != c.want || ok && x != 7 {
			t.Errorf("%s: %d, %v", c.why, x, ok)
		}
	}
}
