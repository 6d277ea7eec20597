package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

// longestBacklog is the longest queue that is ever proposed: four times the kernel's 1,000,
// up to the next power of two. How long a burst was is not seen; a CPU takes some 1,000,000
// packets a second at most, so that this is 4 ms of delay at the least.
const longestBacklog = 4096

func (s softnet) remedies(length int64, known, used bool) []Remedy {
	return []Remedy{raiseBacklog(length, known, used), {
		Kind: ByTopology,
		Text: "more CPUs for the packets, if " + s.worst() + " is the only one that " +
			"drops: receive queues of the card (RSS), RPS masks over more " +
			"CPUs, or none where the card has a queue for each CPU",
		TakesEffect: Now,
	}}
}

// raiseBacklog is a change up to longestBacklog, and words beyond it. used says that a
// device of this namespace has the queue in its way.
func raiseBacklog(length int64, known, used bool) Remedy {
	name := netdevMaxBacklog().Name
	m := Remedy{
		Kind:    BySetting,
		Setting: name,
		Text: "a longer queue takes longer bursts and adds delay; it does not " +
			"help a CPU that is busy all the time",
		TakesEffect: Now,
	}
	switch {
	case !known:
		m.Text += "; to be written in the initial network namespace"
		return m
	case length >= longestBacklog:
		m.From, m.To = itoa(length), itoa(roundUp(2*min(length, 1<<30)))
		m.Text += "; only by hand, because a queue of this length that is full is more " +
			"often a CPU that is too slow than a burst: sysctl -w " + name + "=" + m.To
		return m
	}
	m.From, m.To = itoa(length), itoa(longestBacklog)
	if !used {
		m.Text += "; only by hand, because no device of this network namespace has the " +
			"queue in its way: sysctl -w " + name + "=" + m.To
		return m
	}
	m.Change = host.Setting{Fact: netdevMaxBacklog(), Want: m.To}
	m.Sum = "four times the kernel's 1,000 packets, up to the next power of two; how long " +
		"the burst was is not seen"
	m.Cost = "none by itself; a full queue of " + figure.Count(longestBacklog) +
		" packets takes up to 8 MiB of kernel memory a CPU"
	m.Risk = "more delay when a CPU cannot keep up: 4 ms and more for a full queue; one " +
		"value for the host"
	m.Lasts = untilBoot
	return m
}
