package limit

import (
	"math/rand/v2"
	"testing"
)

// What fits a group does, of very many bursts, and what its queues hold together does not.
func TestBurstOfAGroup(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ members, each int }{{2, 6}, {2, 129}, {4, 101}, {8, 513},
		{16, 129}, {3, 4097}, {64, 17}} {
		queues := make([]int64, c.members)
		for i := range queues {
			queues[i] = int64(c.each)
		}
		fits, sum := spread(queues), int64(c.members*c.each)
		if lost := burstsLost(random, queues, fits, 2000); lost > 0 {
			t.Errorf("%+v: %d of 2000 bursts of %d lose connections", c, lost, fits)
		}
		if lost := burstsLost(random, queues, sum, 200); lost < 100 {
			t.Errorf("%+v: only %d of 200 bursts of %d lose any", c, lost, sum)
		}
		if each := eachQueue(c.members, fits); each > int64(c.each) {
			t.Errorf("%+v: a burst of %d needs queues of %d", c, fits, each)
		}
		if c.each > 500 && fits*10 < sum*7 {
			t.Errorf("%+v: %d is far below %d", c, fits, sum)
		}
	}
	if n := spread([]int64{129}); n != 129 {
		t.Errorf("one queue of 129 takes %d", n)
	}
}

// burstsLost is how many of the bursts overfill a queue.
func burstsLost(random *rand.Rand, queues []int64, burst int64, bursts int) (lost int) {
	for range bursts {
		room := append([]int64(nil), queues...)
		full := false
		for range burst {
			i := random.IntN(len(room))
			room[i]--
			full = full || room[i] < 0
		}
		if full {
			lost++
		}
	}
	return lost
}
