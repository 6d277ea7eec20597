package limit

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"

	"github.com/maxconn/maxconn/internal/figure"
)

const EpollWatches ID = "epoll-watches"

var _ = register(Limit{
	ID:      EpollWatches,
	Title:   "descriptors that a user may watch with epoll",
	Measure: Held,
	Scope:   User,
	Bounds:  Flows{Both, Held},
	Doc: "A server that uses epoll registers every connection with epoll_ctl(). " +
		"`fs.epoll.max_user_watches` bounds the registrations of one user over all " +
		"epoll instances of all its processes; above it epoll_ctl(EPOLL_CTL_ADD) fails " +
		"with ENOSPC, \"No space left on device\", and no disk is full. The kernel " +
		"shows no sum of them (only /proc/PID/fdinfo of each " +
		"epoll descriptor lists its own), so the use here is an estimate: each TCP " +
		"socket of the user in this network namespace watched once. It counts for the " +
		"real user that made the epoll instance; root's daemons, and in containers " +
		"without a user namespace all of root's containers, share one number. The " +
		"default follows the memory, so it hardly ever binds unless somebody set it.",
	Formula: "held = fs.epoll.max_user_watches; for each user, when each connection is " +
		"watched once",
	Myths: []Myth{
		{"\"No space left on device\" from a server means a full disk",
			"from epoll_ctl() it means fs.epoll.max_user_watches, from " +
				"inotify_add_watch() fs.inotify.max_user_watches",
			"fs/eventpoll.c ep_insert; epoll_ctl(2), inotify_add_watch(2)"},
		{"fs.inotify.max_user_watches bounds connections",
			"it counts watched files and directories, never sockets",
			"fs/notify/inotify/inotify_user.c inotify_new_watch"},
		{"a watch costs about 160 bytes",
			"the page is old: on Linux 6.18 it is charged as 120 + 64 = 184 bytes " +
				"and takes 128 + 64 of slab",
			"fs/eventpoll.c EP_ITEM_COST; measured; epoll(7)"},
	},
	Knobs: []string{
		"fs.epoll.max_user_watches", "fs.inotify.max_user_watches",
	},
	Signs: []Sign{
		{
			Text:  "no space left on device",
			Errno: "ENOSPC",
			Call:  "epoll_ctl",
			Means: "the user has registered fs.epoll.max_user_watches descriptors " +
				"with epoll; nothing is wrong with a disk",
			Look: "maxconn check --limit epoll-watches; sysctl " +
				"fs.epoll.max_user_watches",
		},
	},
	Sources: []string{"fs/eventpoll.c ep_insert (4.4-6.18)",
		"fs/eventpoll.c eventpoll_init (4.4-6.18)", "epoll(7), epoll_ctl(2)"},
	Needs:     []host.Fact{host.Sysctl("fs.epoll.max_user_watches"), host.All(host.UserKind)},
	SoleErrno: "ENOSPC",
	Gauges:    epollGauges,
})

func epollGauges(r *host.Reader, w Workload) []Gauge {
	most := max(r.Int(host.Sysctl("fs.epoll.max_user_watches")), 0)
	var gauges []Gauge
	for _, row := range r.Table(host.UserKind) {
		if sockets, ok := row.Int("sockets"); ok && sockets >= 0 {
			gauges = append(gauges, epollGauge(row.Name(), sockets, most))
		}
	}
	return gauges
}

// epollGauge never says that the kernel refuses: the use is an estimate from above, and a
// program may not use epoll at all.
func epollGauge(uid string, sockets, most int64) Gauge {
	g := Gauge{
		Subject: Subject{Kind: User, Name: "uid " + uid, UID: uid}, Bounds: Both,
		Unit: "watches", Ceiling: most, Used: sockets, Owner: "fs.epoll.max_user_watches",
		Unbounded: most >= noCeiling, Lift: func(need int64) []Remedy {
			return []Remedy{raiseWatches(most, need)}
		},
	}
	g.Steps = []Step{
		{
			Label: "descriptors that one user may watch with epoll",
			Value: most,
			Unit:  "connections",
			How:   Read,
			From:  "fs.epoll.max_user_watches",
		},
		{
			Label: "TCP sockets of the user in this network namespace, watched " +
				"once each",
			Value: sockets,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		},
	}
	if g.Unbounded {
		g.Ceiling, g.Steps = 0, g.Steps[1:]
		return g
	}
	if g.IsNear() {
		g.Enough = 2 * min(sockets, noCeiling/4)
		g.Cause = "uid " + uid + " has " + plural(sockets, "TCP socket") +
			" and may watch " + plural(most, "descriptor") +
			" with epoll (fs.epoll.max_user_watches), over all its processes"
		g.Evidence = []Evidence{{"user " + uid + " sockets", itoa(sockets),
			"an estimate of what is watched: the kernel shows no sum; sockets in " +
				"other network namespaces and other descriptors count as well, " +
				"programs without epoll do not"}}
		g.Remedies = []Remedy{raiseWatches(most, 2*min(sockets, noCeiling/4))}
	}
	return g
}

func raiseWatches(from, need int64) Remedy {
	to := roundUp(min(max(need, 8192), noCeiling/2))
	m := Remedy{Kind: BySetting, Setting: "fs.epoll.max_user_watches", From: itoa(from),
		To: itoa(to), TakesEffect: Now,
		Text: "let a user watch more descriptors; all of them in use take " +
			mebibytes(to*min(knob.WatchBytes, noCeiling/to)) + " of kernel memory",
		Change: host.Setting{Fact: host.Sysctl("fs.epoll.max_user_watches"),
			Want: itoa(to)},
		Sum: figure.Count(need) + " watches, up to the next power of two",
		Cost: "none by itself; all of them in use take " +
			mebibytes(to*min(knob.WatchBytes, noCeiling/to)) + " of kernel memory",
		Risk:  "one value for the host: every user may take as much kernel memory",
		Lasts: untilBoot,
	}
	// the kernel keeps it in a long; a value that large is no wish for connections
	if to > 1<<31-1 {
		m.Change = host.Setting{}
	}
	return m
}
