package prove

import "time"

var _ = register(Claim{
	ID:    "netdev-max-backlog",
	Limit: "receive-backlog",
	Says: "the next packet sees a change of netdev_max_backlog: the input queue of a " +
		"CPU takes the new value + 1",
	Source:  "net/core/dev.c enqueue_to_backlog",
	Unit:    "packets",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "net.core.netdev_max_backlog is one number for the host",
	Trial: func(b *Bench) Outcome {
		b.Machine("net.core.netdev_max_backlog=100")
		return backlogTrial(b, 100)
	},
})
