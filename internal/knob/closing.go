package knob

import "github.com/maxconn/maxconn/internal/host"

// closing are settings of connections that end, and of those whose peer is gone.
var closing = []Knob{
	{
		SafeInPods: host.V(1, 29),
		Name:       "net.ipv4.tcp_fin_timeout",
		Scope:      perNetns9,
		Takes:      seconds(),
		Default:    always(60),
		Does: "is how many seconds a connection that the application has closed waits in " +
			"FIN_WAIT_2 for the peer, never less than 3.5 retransmission timeouts; " +
			"for connections that get there from now on; above 60 it costs an orphan " +
			"for the seconds beyond",
		Not: "does not shorten TIME_WAIT, does not act on connections that are shut down " +
			"and still open, does not act on CLOSE_WAIT; up to 60 it has no effect " +
			"on orphans",
		Source: "net/ipv4/tcp_input.c tcp_rcv_state_process, net/ipv4/tcp_timer.c " +
			"tcp_keepalive_timer, net/ipv4/tcp_minisocks.c tcp_time_wait " +
			"(TCP_TIMEWAIT_LEN, 4.4-6.18)",
		Plan: plan(60, 60, "fin-wait").giving(shorter("60")),
	},
	{
		Name: "TCP_LINGER2",
		Does: "is tcp_fin_timeout for one socket, up to 120 s since 5.8 (and in stable " +
			"kernels since July 2023); 0 means the " +
			"sysctl; negative drops the connection as soon as its FIN is " +
			"acknowledged, and later packets of the peer get RST",
		Not:    "does not shorten TIME_WAIT",
		Source: "net/ipv4/tcp.c do_tcp_setsockopt, f0628c524fd1 (5.8)",
	},
	{
		Name:   "SO_LINGER with 0 seconds",
		Does:   "makes close() send RST instead of FIN, so that no TIME_WAIT arises",
		Not:    "is not a remedy: data that the peer has not yet received is lost",
		Source: "net/ipv4/tcp.c __tcp_close, RFC 1337",
	},
	{
		Name:    "net.ipv4.tcp_rfc1337",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(0),
		Does:    "1 makes a socket in TIME_WAIT ignore RST; 0 lets a RST end it",
		Not:     "does not change how long TIME_WAIT lasts",
		Source:  "net/ipv4/tcp_minisocks.c tcp_timewait_state_process (4.4-6.18)",
	},
	{
		Name:    "net.ipv4.tcp_max_orphans",
		Scope:   InitialOnly,
		Takes:   one(anyInt),
		Default: computed(halfOfBuckets),
		Does: "is how many orphans the host may have, in all network namespaces; the " +
			"next close sees the change",
		Not: "does not limit connections that are in use, nor TIME_WAIT; the count it is " +
			"compared with is renewed every 100 ms since 5.16, so it is passed by some",
		Source: "net/ipv4/tcp.c tcp_check_oom, tcp_too_many_orphans; 19757cebf0c5 (5.16)",
		InUse:  Orphans,
		Plan:   plan(4096, mostInt, "orphans"),
	},
	{
		Name:    "net.ipv4.tcp_max_tw_buckets",
		Scope:   PerNetnsSince(Since(4, 11)),
		Takes:   one(anyInt),
		Default: computed(halfOfBuckets),
		Does: "is the size of the table of connections in TIME_WAIT and FIN_WAIT_2; " +
			"the next close sees the change",
		Not: "lower, it does not make a host faster or safer; a negative value is no " +
			"ceiling on kernels that compare it unsigned (measured on 6.18), and on " +
			"older ones it lets no socket into TIME_WAIT",
		Source: "net/ipv4/inet_timewait_sock.c inet_twsk_alloc; net/ipv4/tcp_ipv4.c " +
			"tcp_set_hashinfo; Documentation/networking/ip-sysctl.rst",
		InUse: TimeWaits,
		Plan:  plan(4096, mostInt, "time-wait-buckets"),
	},
	{
		Name:    "net.ipv4.tcp_child_ehash_entries",
		Since:   Since(6, 1),
		Scope:   PerNetns,
		Takes:   one(between(0, 16777216)),
		Default: always(0),
		Does: "gives network namespaces that are made from this one later a connection " +
			"hash table of their own, rounded up to a power of two (0 shares the " +
			"host's); tcp_max_tw_buckets there then begins at half of it (8192 gives " +
			"4096), and tcp_max_syn_backlog is lower too",
		Not:    "does not change namespaces that exist",
		Source: "net/ipv4/tcp_ipv4.c tcp_set_hashinfo; d1e5e6408b30 (6.1)",
	},
	{
		Name:  "net.ipv4.tcp_ehash_entries",
		Since: Since(6, 1),
		Scope: PerNetns,
		Takes: shown(),
		Does: "shows the size of the connection hash table, negative where the namespace " +
			"shares that of the host; the boot parameter thash_entries sets it",
		Not: "cannot be written; is not a limit: with more connections the chains get " +
			"longer",
		Source: "net/ipv4/sysctl_net_ipv4.c proc_tcp_ehash_entries (mode 0444), " +
			"d1e5e6408b30 (6.1)",
	},
	{
		Name: "thash_entries",
		Does: "is a boot parameter: buckets of the table of connections " +
			"(tcp_ehash_entries shows them); more buckets make shorter chains",
		Not:    "does not limit connections: a full table only costs time",
		Source: "net/ipv4/tcp.c tcp_init",
	},
	{
		Name:    "net.ipv4.tcp_orphan_retries",
		Scope:   perNetns9,
		Takes:   one(oneByte),
		Default: always(0),
		Does: "is how often an orphan sends again before it is given up; 0 means 8 while " +
			"the peer is not known to be dead, some 100 s",
		Not: "does not act on connections that the application holds (those follow " +
			"tcp_retries2)",
		Source: "net/ipv4/tcp_timer.c tcp_orphan_retries (4.4-6.18)",
	},
	{
		Name:    "net.ipv4.tcp_retries2",
		Scope:   perNetns9,
		Takes:   one(oneByte),
		Default: always(15),
		Does: "is how often unacknowledged data is sent again on a connection that the " +
			"application holds, before the connection ends with ETIMEDOUT",
		Not: "does not act on a connection that has nothing to send, so not on an idle " +
			"CLOSE_WAIT; does not act on orphans: tcp_orphan_retries does",
		Source: "net/ipv4/tcp_timer.c tcp_write_timeout; " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name:    "net.ipv4.tcp_rto_max_ms",
		Since:   Since(6, 15),
		Scope:   PerNetnsSince(Since(6, 15)),
		Takes:   one(between(1000, 120000)).in("milliseconds"),
		Default: always(120000),
		Does: "is the longest wait before data is sent again; lower, what has no answer " +
			"is " +
			"given up sooner, after as many repetitions as before (tcp_retries2, " +
			"tcp_orphan_retries): 15 at 10,000 take 113 s in place of 924 s",
		Not:    "does not change how often data is sent again; does not shorten TIME_WAIT",
		Source: "net/ipv4/tcp_timer.c tcp_rto_max; 1280c26228bd (6.15); " + ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_retries1",
		Scope:   perNetns9,
		Takes:   one([]Bound{{Low: -1 << 31, Top: 255}, from(5, 13, 0, 255)}),
		Default: always(3),
		Does:    "is after how many repetitions TCP asks for another route",
		Not:     "ends no connection",
		Source:  "net/ipv4/tcp_timer.c tcp_write_timeout",
		Aside:   true,
	},
	{
		SafeInPods: host.V(1, 29),
		Name:       "net.ipv4.tcp_keepalive_time",
		Scope:      perNetns9,
		Takes:      seconds(),
		Default:    always(7200),
		Does: "is how many seconds a connection must be idle before the first keepalive " +
			"probe, for sockets with SO_KEEPALIVE that have no TCP_KEEPIDLE of their " +
			"own; it finds peers that vanished; the next time that the timer is set " +
			"sees the change",
		Not: "acts on no socket without SO_KEEPALIVE; does not close a descriptor: in " +
			"CLOSE_WAIT it can at most end the connection below it",
		Source: keepaliveSource,
	},
	{
		SafeInPods: host.V(1, 29),
		Name:       "net.ipv4.tcp_keepalive_intvl",
		Scope:      perNetns9,
		Takes:      seconds(),
		Default:    always(75),
		Does: "is how many seconds pass between two keepalive probes that are not " +
			"answered",
		Not: "acts on no socket without SO_KEEPALIVE, or with a TCP_KEEPINTVL of its " +
			"own; does not close a descriptor",
		Source: keepaliveSource,
	},
	{
		SafeInPods: host.V(1, 29),
		Name:       "net.ipv4.tcp_keepalive_probes",
		Scope:      perNetns9,
		Takes:      one(oneByte),
		Default:    always(9),
		Does: "is how many keepalive probes may stay unanswered before the connection " +
			"ends with ETIMEDOUT",
		Not: "acts on no socket without SO_KEEPALIVE, or with a TCP_KEEPCNT of its " +
			"own; does not close a descriptor",
		Source: keepaliveSource,
	},
}

const keepaliveSource = "net/ipv4/tcp_timer.c tcp_keepalive_timer (4.4-6.18)"
