package knob

import "github.com/maxconn/maxconn/internal/host"

// How connect() takes over a port whose last connection is in TIME_WAIT changed at these releases
// (net/ipv4/tcp_ipv4.c tcp_twsk_unique).
var (
	// LoopbackReuse is when tcp_tw_reuse got the value 2, for loopback addresses only,
	// and that became the default; before, any value but 0 meant all destinations
	// (79e9fed46038).
	LoopbackReuse = host.Came(4, 18)
	// ReuseInOneSecond is when the delay became less than a second; before it was up to 2 s
	// (cca9bab1b72c).
	ReuseInOneSecond = host.Change{Since: host.V(4, 19), In: []host.Distribution{host.EL8}}
	// ReuseDelay is when the delay became a setting (ca6a6f93867a, 19ce8cd30465).
	ReuseDelay = host.V(6, 14)
)

// ports are settings of local ports.
var ports = []Knob{
	{
		Name:    "net.ipv4.ip_unprivileged_port_start",
		Since:   Since(4, 11),
		Scope:   PerNetns,
		Takes:   one(between(0, 65535)),
		Default: always(1024),
		Does: "is the lowest value that the low end of ip_local_port_range may take, and " +
			"the first port that a program without privilege may listen on",
		Not: "does not enlarge the range by itself",
		Source: "net/ipv4/sysctl_net_ipv4.c ipv4_local_port_range, " +
			"ipv4_privileged_ports (4.11)",
		SafeInPods: host.V(1, 22),
	},
	{
		Name:    "net.ipv4.ip_local_reserved_ports",
		Scope:   PerNetns,
		Takes:   Takes{Kind: PortList},
		Default: text(""),
		Does: "ports of the range that connect() and bind(0) leave out; a write " +
			"replaces the whole list",
		Not: "does not stop an explicit bind()",
		Source: "include/net/ip.h inet_is_local_reserved_port; " +
			"Documentation/networking/ip-sysctl.rst",
		SafeInPods: host.V(1, 27),
		Plan:       plan(0, 65535, "ephemeral-ports", "time-wait").giving(morePorts),
	},
	{
		Name:    "net.ipv4.ip_local_port_range",
		Scope:   PerNetns,
		Takes:   Takes{Kind: Ports, N: 2, Bounds: between(1, 65535)},
		Default: text("32768 60999"),
		After: []string{
			"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports",
		},
		Does: "the ports that connect() and bind(0) choose from, for IPv4 and IPv6 " +
			"alike; the next connect() sees the change; low end must be at least " +
			"ip_unprivileged_port_start",
		Not: "does not touch connections that exist",
		Source: "net/ipv4/sysctl_net_ipv4.c ipv4_local_port_range; " +
			"net/ipv4/inet_hashtables.c __inet_hash_connect; 1580ab63fc9a (about 4.6)",
		InUse:      LocalPorts,
		SafeInPods: host.V(1, 4),
		Plan:       plan(1024, 65535, "ephemeral-ports", "time-wait").giving(wider),
	},
	{
		Name:    "net.ipv4.ip_local_port_step_width",
		Since:   Since(7, 1),
		Scope:   PerNetnsSince(Since(7, 1)),
		Takes:   one(between(0, 1<<32-1)).in("ports"),
		Default: always(0),
		Does: "lets connect() go on by a random step of at most this many ports where " +
			"the one it tried is taken, so that the ports behind reserved ones are " +
			"not used more often than others; 0 by one step after the other; the " +
			"step has no divisor in common with the range, so that all ports are " +
			"tried; the next connect() sees a change",
		Not: "does not add a port, and does not speed up the search of a full range: a " +
			"value as large as the range slows it down",
		Source: "net/ipv4/inet_hashtables.c __inet_hash_connect; 7da62262ec96 (7.1); " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name:    "net.ipv4.ip_autobind_reuse",
		Since:   Since(5, 7),
		Scope:   PerNetns,
		Takes:   one(between(0, 1)),
		Default: always(0),
		Does:    "lets bind(0) return a port in use when all its users set SO_REUSEADDR",
		Not: "does not help: the port is picked without regard to the destination, so " +
			"connect() then fails at random",
		Source: "net/ipv4/inet_connection_sock.c inet_csk_find_open_port; 4b01a9674231 " +
			"(5.7); Documentation/networking/ip-sysctl.rst",
		Never: "it makes connect() fail at random",
	},
	{
		Name:   "net.ipv4.ip_nonlocal_bind",
		Scope:  PerNetns,
		Takes:  one(anyInt),
		Does:   "lets programs bind to addresses that the host does not have",
		Not:    "sets no ceiling on connections",
		Source: "net/ipv4/af_inet.c __inet_bind",
		Aside:  true,
	},
	{
		Name:  "IP_BIND_ADDRESS_NO_PORT",
		Since: Since(4, 2),
		Does: "makes bind(address, 0) fix only the address; the port is chosen in " +
			"connect() for that destination alone",
		Source: "net/ipv4/af_inet.c __inet_bind, 90c337da1524 (4.2)",
	},
	{
		Name:  "IP_LOCAL_PORT_RANGE",
		Since: Since(6, 3),
		Does: "narrows the range for one socket; since Linux 6.8 such a socket has no " +
			"cost step at half the range",
		Not:    "cannot widen the range",
		Source: "net/ipv4/inet_hashtables.c __inet_hash_connect, 207184853dbd (6.8)",
	},
	{
		Name:    "net.ipv4.tcp_timestamps",
		Scope:   PerNetnsSince(Between(host.V(4, 12), host.V(4, 14))),
		Takes:   one(oneByte),
		Default: always(1),
		Does: "turns TCP timestamps on (1 with a random offset for each connection, 2 " +
			"without) or off (0) for new connections; both ends must have them on",
		Not: "off, it saves 12 bytes a packet and takes tcp_tw_reuse, the protection " +
			"against old duplicates (PAWS) and the options of connections made by " +
			"SYN cookies with it",
		Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique; net/ipv4/tcp_input.c " +
			"tcp_paws_check; Documentation/networking/ip-sysctl.rst",
		Plan: plan(1, 1, "time-wait"),
	},
	{
		Name:    "net.ipv4.tcp_tw_reuse",
		Scope:   PerNetnsSince(Between(host.V(4, 9), host.V(4, 10))),
		Takes:   one([]Bound{anyInt[0], {LoopbackReuse.Since, 0, 2}}),
		Default: changed(0, LoopbackReuse, 2),
		After:   []string{"net.ipv4.tcp_timestamps"},
		Does: "lets connect() take over a port whose last connection to the same " +
			"destination is in TIME_WAIT and used timestamps: 0 never, 1 always, 2 " +
			"only with a loopback address; the next connect() sees the change",
		Not: "does nothing for accepted connections, nothing without TCP timestamps, " +
			"nothing for a port in FIN_WAIT_2 (since 6.12 and in many stable " +
			"kernels), nothing for one that bind() chose; does not shorten TIME_WAIT",
		Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique; 79e9fed46038 (4.18), 0d9e5df4a257 " +
			"(6.12)",
		Plan: plan(1, 1, "time-wait").giving(allPeers),
	},
	{
		Name:    "net.ipv4.tcp_tw_reuse_delay",
		Since:   Span{By: ReuseDelay},
		Scope:   PerNetns,
		Takes:   one(between(1, 60000)).in("milliseconds"),
		Default: always(1000),
		Does: "is how many milliseconds a port stays in TIME_WAIT before tcp_tw_reuse " +
			"may take it over; it must not be shorter than the peer's timestamp " +
			"clock ticks",
		Not: "does nothing where tcp_tw_reuse does not act; before 6.14 the delay was " +
			"fixed: whole seconds are compared, so up to 1 s from 4.19 on (and in " +
			"el8) and up to 2 s earlier",
		Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique; ca6a6f93867a, 19ce8cd30465 (6.14), " +
			"cca9bab1b72c (4.19)",
		Plan: plan(1000, 1000, "time-wait").giving(shorter("1000")),
	},
	{
		Name:    "net.ipv4.tcp_tw_recycle",
		Until:   Since(4, 12),
		Scope:   InitialOnly,
		Takes:   one(anyInt),
		Default: always(0),
		Does: "ends TIME_WAIT after 3.5 retransmission timeouts where both ends use " +
			"timestamps, and drops in silence SYNs of clients that share an address " +
			"(NAT), since their timestamps differ; writing it fails with ENOENT on " +
			"today's kernels",
		Not: "is not a way to more connections on any kernel",
		Source: "net/ipv4/tcp_minisocks.c tcp_time_wait (recycle_ok), " +
			"net/ipv4/tcp_input.c tcp_conn_request, net/ipv4/tcp_metrics.c " +
			"tcp_peer_is_proven; 4396e46187ca (4.12)",
		Never: "it drops clients behind NAT",
	},
	{
		Name: "bind() to a port with SO_REUSEADDR before connect()",
		Does: "takes over a TIME_WAIT of the same addresses and ports at once, without " +
			"tcp_tw_reuse and without delay, where timestamps were in use, and a " +
			"FIN_WAIT_2 of a connection that was closed as well: its peer, which has " +
			"not closed yet, gets EPIPE; the application then has to choose ports " +
			"itself",
		Not: "does not work without timestamps (EADDRNOTAVAIL), and not with bind() " +
			"to port 0",
		Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique (!twp, 4.4-7.1)",
	},
}
