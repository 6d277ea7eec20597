package prove

import (
	"fmt"
	"time"
)

var _ = register(Claim{
	ID:    "watches-of-a-user",
	Limit: "epoll-watches",
	Says: "fs.epoll.max_user_watches bounds what all epoll instances of a user watch; " +
		"beyond it epoll_ctl() fails with ENOSPC",
	Source:  "fs/eventpoll.c ep_insert",
	Unit:    "watches",
	Takes:   time.Second,
	Busy:    Alone,
	Machine: "fs.epoll.max_user_watches is one number for the host",
	Trial: func(b *Bench) Outcome {
		const allowed, wanted = 100, 250
		w := b.Machine(fmt.Sprintf("fs.epoll.max_user_watches=%d", allowed))
		user := w.Actor("user")
		b.Must(user.Become(nobodyElse()))
		listenOn(user, 8080, 16) // check looks at users with sockets
		g := w.Gauge("epoll-watches", fmt.Sprintf("uid %d", nobodyElse()))
		got := must(user.Watch(wanted))
		o := Exactly(g.Ceiling, int64(got.Count))
		o.Formula = "fs.epoll.max_user_watches"
		o.Expect("epoll_ctl() beyond it", map[string]int{"ENOSPC": 1}, got.Errors)

		w.SetUntilDone("fs.epoll.max_user_watches", "10000")
		rest := must(user.Watch(wanted))
		o.Without("watches with a higher limit", wanted, rest.Count)
		o.Without("errors", map[string]int{}, rest.Errors)
		return o
	},
})
