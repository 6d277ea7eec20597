package limit

import (
	"math"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// closedLift raises one of the two tables of closed connections, tcp_max_tw_buckets and
// tcp_max_orphans, which are ints.
func closedLift(name string, from, least int64, cost string) func(need int64) []Remedy {
	return func(need int64) []Remedy {
		to := min(roundUp(min(max(need, least), math.MaxInt32)), math.MaxInt32)
		return []Remedy{{Kind: BySetting, Setting: name, From: itoa(from), To: itoa(to),
			TakesEffect: Now, Text: "a larger table; " + cost,
			Change: host.Setting{Fact: host.Sysctl(name), Want: itoa(to)},
			Sum:    figure.Count(need) + ", up to the next power of two",
			Cost:   "none by itself; " + cost,
			Risk: "more kernel memory may stay with connections that are closed " +
				"already",
			Lasts: untilBoot,
		}}
	}
}
