package prove

import "maps"

// recipeStep is a step of the popular recipe: what it says, and how it is tried.
type recipeStep struct {
	name    string
	lines   []string
	promise string
	model   string
	// set are settings of the namespace, in full size; the port range is scaled.
	set map[string]string
	// gone is a setting that this step writes and that kernels may not have.
	gone string
	// figures measures what else the step is said to change.
	figures func(*Bench) []Figure
	// inputQueue says that the step is about the input queues of the host's processors.
	inputQueue bool
	// txQueueLen, unless 0, is set on the lab's device.
	txQueueLen int
}

// recipe is the advice that has been copied from page to page since about 2009, in its usual order.
func recipe() []recipeStep {
	return []recipeStep{
		{name: "defaults", promise: "28,232 ports / 60 s = 470 connections/s",
			model: "usable ports / 60 s (TCP_TIMEWAIT_LEN), for each destination",
			set:   map[string]string{"net.ipv4.ip_local_port_range": "32768 60999"}},
		{name: "wider port range",
			lines:   []string{"sysctl -w net.ipv4.ip_local_port_range=\"15000 61000\""},
			promise: "more connections to one destination",
			model:   "46,001 ports instead of 28,232: held and rate grow by 1.63",
			set:     map[string]string{"net.ipv4.ip_local_port_range": "15000 61000"}},
		{name: "tcp_fin_timeout 30",
			lines:   []string{"sysctl -w net.ipv4.tcp_fin_timeout=30"},
			promise: "(61000 - 15000) / 30 = 1,533 connections/s",
			model: "it ends orphaned FIN_WAIT_2 only; TIME_WAIT is a constant " +
				"of 60 s",
			set: map[string]string{"net.ipv4.tcp_fin_timeout": "30"}},
		{name: "tcp_tw_reuse 1", lines: []string{"sysctl -w net.ipv4.tcp_tw_reuse=1"},
			promise: "ports in TIME_WAIT are used again",
			model: "connect() takes a port over about a second after its close, " +
				"where both ends have timestamps: usable ports / 1 s",
			set: map[string]string{"net.ipv4.tcp_tw_reuse": "1"}},
		{name: "tcp_tw_recycle 1", lines: []string{"sysctl -w net.ipv4.tcp_tw_recycle=1"},
			gone: "net.ipv4.tcp_tw_recycle", promise: "TIME_WAIT ends early",
			model: "gone since Linux 4.12; before, it dropped clients behind NAT"},
		{name: "somaxconn 1024, the application's backlog as it is",
			lines:   []string{"sysctl -w net.core.somaxconn=1024"},
			promise: "a longer accept queue",
			model: "min(backlog, somaxconn) + 1: an application that asks for " +
				"128 keeps 129",
			set: map[string]string{"net.core.somaxconn": "1024"},
			figures: func(b *Bench) []Figure {
				return []Figure{burst(b, 128, 128)}
			}},
		{name: "somaxconn 1024 and the application's own backlog",
			lines: []string{"sysctl -w net.core.somaxconn=1024",
				"listen(fd, 1024), or listen(fd, 4096)"},
			promise: "a longer accept queue",
			model: "min(backlog, somaxconn) + 1; the default is 4,096 since " +
				"Linux 5.4, so 1,024 makes the queue of an application that " +
				"asks for more shorter", figures: func(b *Bench) []Figure {
				return []Figure{burst(b, 128, 1024), burst(b, 4096, 4096)}
			}},
		{name: "tcp_max_syn_backlog 2048",
			lines:   []string{"sysctl -w net.ipv4.tcp_max_syn_backlog=2048"},
			promise: "more half-open connections",
			model: "it acts only where tcp_syncookies = 0; otherwise the " +
				"listener's backlog is the ceiling",
			set: map[string]string{"net.ipv4.tcp_max_syn_backlog": "2048"},
			figures: func(b *Bench) []Figure {
				return []Figure{halfOpen(b)}
			}},
		{name: "netdev_max_backlog 2000", inputQueue: true,
			lines:   []string{"sysctl -w net.core.netdev_max_backlog=2000"},
			promise: "no packets lost on their way in",
			model: "it acts where a processor's input queue overflows; a setting " +
				"of the host, which a namespace cannot have, so the queue's " +
				"own drops are counted instead"},
		{name: "txqueuelen 5000", lines: []string{"ifconfig eth0 txqueuelen 5000"},
			txQueueLen: 5000, promise: "more connections",
			model: "the length of a transmit queue, in packets, and only of " +
				"some queueing disciplines; it says nothing of connections"},
		{name: "descriptor limit 65535", lines: []string{"ulimit -n 65535"},
			promise: "more open connections in one process",
			model: "the soft limit of the process, less its other files; " +
				"connections beyond fail with EMFILE",
			figures: func(b *Bench) []Figure {
				return []Figure{descriptors(b)}
			}},
		{name: "write buffering",
			lines:   []string{"gather small messages and write them at once"},
			promise: "less work for each message",
			model: "a system call and a segment for a buffer instead of for a " +
				"message; nothing about connections", figures: buffering},
	}
}

// settings are those of a step and all before it.
func settings(steps []recipeStep, i int) map[string]string {
	all := map[string]string{}
	for _, s := range steps[:i+1] {
		maps.Copy(all, s.set)
	}
	return all
}
