package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

// remedies double what is there or used.
func (n neighbours) remedies() []Remedy { return n.lift(2 * min(max(n.max, n.used), 1<<28)) }

// lift raises the thresholds from the highest down, so that they stay in order all the time, in the
// proportion that they have by default (1 : 4 : 8).
func (n neighbours) lift(need int64) (out []Remedy) {
	to := roundUp(min(need, 1<<29))
	if !n.maxKnown {
		to = 0
	}
	for _, x := range []struct {
		fact     host.Fact
		from, to int64
		text     string
	}{
		{n.t3, n.max, to, "room for more hosts on the same link"},
		{n.thresh2, n.mid, to / 2,
			"so that the kernel throws out entries in use no sooner than it must"},
		{n.thresh1, n.min, to / 8, "so that entries are kept while there are few"},
	} {
		if x.from > 0 && x.to > x.from {
			out = append(out, n.raise(x.fact, x.from, x.to, x.text, need))
		}
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "fewer hosts on one link: a route without a gateway to a wide " +
			"prefix makes every host of it a neighbour; through a gateway they " +
			"share one entry",
		TakesEffect: Now,
	})
}

func (n neighbours) raise(f host.Fact, from, to int64, text string, need int64) Remedy {
	m := Remedy{Kind: BySetting, Setting: f.Name, From: itoa(from), To: itoa(to), Text: text,
		TakesEffect: Now,
		Sum: figure.Count(need) +
			" neighbours, up to the next power of two, and the thresholds as 1 : 4 : 8",
		Cost:  "none by itself; each entry takes about 400 bytes of kernel memory",
		Risk:  "one table for the host: a scan of a wide network can fill more memory",
		Lasts: untilBoot,
	}
	if n.child {
		m.TakesEffect = NowInInitial
		return m
	}
	m.Change = host.Setting{Fact: f, Want: m.To}
	return m
}
