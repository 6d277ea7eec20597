package limit

import (
	"math"
	"slices"
	"sort"
)

// lostBursts is how often a burst that fits a group may lose a connection all the same: one in a
// million.
const lostBursts = 1e-6

// spread is how many SYNs at once the queues of a SO_REUSEPORT group take. The kernel picks the
// member by a hash of the addresses and ports (net/core/sock_reuseport.c
// reuseport_select_sock, reciprocal_scale), so a member gets a binomial share of a burst: the
// sum of the queues is never reached, and what fits is the burst whose shares all find room but
// for lostBursts. The tails are bounded by Chernoff's exp(-n D(a||p)), which holds for every n.
func spread(queues []int64) int64 {
	least, sum := slices.Min(queues), int64(0)
	for _, q := range queues {
		sum += q
	}
	if len(queues) == 1 {
		return sum
	}
	further := sort.Search(int(sum-least), func(i int) bool {
		return overflow(queues, least+int64(i)+1) > lostBursts
	})
	return least + int64(further)
}

// overflow bounds the probability that one of the queues gets more of n than it holds.
func overflow(queues []int64, n int64) (p float64) {
	share := 1 / float64(len(queues))
	for _, q := range queues {
		a := float64(q+1) / float64(n)
		switch {
		case a > 1:
		case a <= share:
			return 1
		default:
			p += math.Exp(-float64(n) * divergence(a, share))
		}
	}
	return p
}

// divergence is that of Kullback and Leibler between two coins.
func divergence(a, p float64) float64 {
	d := a * math.Log(a/p)
	if a < 1 {
		d += (1 - a) * math.Log((1-a)/(1-p))
	}
	return d
}

// spreadStep is what is left of the sum of the queues.
func spreadStep(queues []int64) Step {
	return Step{Label: "of these at once without a loss, of all but one burst in a million: " +
		"the hash spreads unevenly (binomial shares, bounded by Chernoff)",
		Value: spread(queues), Unit: "connections", How: Computed}
}

// eachQueue is how long each of the queues of a group has to be for a burst to fit.
func eachQueue(members int, burst int64) int64 {
	if members == 1 {
		return burst
	}
	queues := make([]int64, members)
	return int64(sort.Search(int(min(burst, most)), func(each int) bool {
		for i := range queues {
			queues[i] = int64(each)
		}
		return int64(each)*int64(members) >= burst && overflow(queues, burst) <= lostBursts
	}))
}
