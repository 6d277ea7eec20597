package knob

import "github.com/maxconn/maxconn/internal/host"

// packets are settings of queues of packets.
var packets = []Knob{
	{
		Name:    "net.core.netdev_max_backlog",
		Scope:   InitialOnly,
		Takes:   one(anyInt).in("packets"),
		Default: always(1000),
		Does: "is the length of each CPU's input queue in packets; the next packet " +
			"sees a change",
		Not: "does not act on cards with NAPI and without RPS; does not bound " +
			"connections",
		Source: "net/core/dev.c enqueue_to_backlog, netif_rx_internal (4.4-6.18)",
		Plan:   plan(4096, 4096, "receive-backlog"),
	},
	{
		Name:    "net.core.qdisc_max_burst",
		Since:   Since(6, 19),
		Scope:   InitialOnly,
		Takes:   one(atLeast(0)).in("packets"),
		Default: always(1000),
		Does: "is how many packets may wait at one qdisc for the CPU that holds its " +
			"lock, " +
			"before they are in its queue; those beyond are dropped " +
			"(QDISC_BURST_DROP); the next packet sees a change",
		Not:    "does not lengthen the queue of the qdisc; does not bound connections",
		Source: "net/core/dev.c __dev_xmit_skb; ffe4ccd359d0 (6.19)",
	},
	{
		Name:    "net.core.netdev_budget",
		Scope:   InitialOnly,
		Takes:   one(anyInt).in("packets"),
		Default: always(300),
		Does: "is how many packets one run of the receive softirq takes before it " +
			"yields",
		Not:    "drops nothing; does not bound connections",
		Source: "net/core/dev.c net_rx_action (4.4-6.18)",
		Aside:  true,
	},
	{
		Name:    "net.core.netdev_budget_usecs",
		Since:   Since(4, 12),
		Scope:   InitialOnly,
		Takes:   one(atLeast(0)).in("microseconds"),
		Default: words("two timer ticks"),
		Does: "is how long one run of the receive softirq goes on before it yields, " +
			"in microseconds",
		Not:    "drops nothing; does not bound connections",
		Source: "net/core/dev.c net_rx_action (4.12-6.18)",
		Aside:  true,
	},
	{
		Name:    "net.core.dev_weight",
		Scope:   InitialOnly,
		Takes:   one(anyInt).in("packets"),
		Default: always(64),
		Does:    "is how many packets of its input queue a CPU takes at a time",
		Not:     "does not enlarge the queue",
		Source:  "net/core/dev.c process_backlog; Documentation/admin-guide/sysctl/net.rst",
		Aside:   true,
	},
	{
		Name:    "net.core.flow_limit_cpu_bitmap",
		Scope:   InitialOnly,
		Default: words("off"),
		Does: "on the CPUs named, drops packets of a flow that fills more than half of a " +
			"queue that is half full, to keep room for the others",
		Not:    "does not enlarge the queue, which net.core.netdev_max_backlog bounds",
		Source: "net/core/dev.c skb_flow_limit",
	},
	{
		Name:  "net.core.default_qdisc",
		Scope: InitialOnly,
		Takes: Takes{Kind: Word},
		Does: "is the qdisc of devices that are brought up from now on (of each hardware " +
			"queue where the card has several)",
		Not: "does not change devices that are up, nor those without a queue (lo, " +
			"veth, bridges); sets no ceiling on connections",
		Source: "net/sched/sch_generic.c default_qdisc_ops; " +
			"Documentation/admin-guide/sysctl/net.rst",
		Aside: true,
	},
	{
		Name:  "net.core.rps_sock_flow_entries",
		Scope: InitialOnly,
		Takes: one(anyInt),
		Does: "is the size of the table by which receive flow steering finds the CPU of " +
			"a flow; without rps_cpus on a device nothing uses it",
		Not:    "sets no ceiling on connections",
		Source: "net/core/sysctl_net_core.c rps_sock_flow_sysctl",
		Aside:  true,
	},
	{
		Name:   "net.core.warnings",
		Scope:  InitialOnly,
		Does:   "is a switch that nothing reads",
		Source: "Documentation/admin-guide/sysctl/net.rst",
	},
	{
		Name:   "net.core.netdev_rss_key",
		Scope:  InitialOnly,
		Takes:  shown(),
		Does:   "shows the key by which cards spread packets over their queues",
		Not:    "cannot be written",
		Source: "net/core/sysctl_net_core.c (mode 0444)",
	},
	{
		Name: "limit of a qdisc",
		Does: "is the queue length of fq (10000 packets), fq_codel (10240), pfifo, bfifo " +
			"(bytes) and others; set with tc qdisc change dev DEVICE ... limit N, at " +
			"once",
		Not:    "is not changed by txqueuelen once the qdisc is there",
		Source: "net/sched/sch_fq.c fq_init; net/sched/sch_fq_codel.c fq_codel_init",
	},
	{
		Name:    "txqueuelen",
		Field:   "link#txqueuelen",
		Default: always(1000),
		Does: "is the queue length of a device in packets where its qdisc uses it: " +
			"pfifo_fast (each of three bands; before 4.16 all three together, and " +
			"only as it was when the qdisc was made) and the ring of tun and tap at " +
			"once; " +
			"pfifo, bfifo (times the packet size), htb, sfb, gred and plug when they " +
			"are made; set with ip link set dev DEVICE txqueuelen N",
		Not: "does nothing with fq, fq_codel, mq, noqueue, on veth and lo; does not " +
			"bound connections",
		Source: "net/sched/sch_generic.c pfifo_fast_init; net/sched/sch_fifo.c " +
			"__fifo_init; drivers/net/tun.c tun_queue_resize",
		Plan: plan(1000, 1000, "transmit-queue"),
	},
}

// routing are settings of a cache that is gone, which old advice still sizes.
var routing = append(routes(), Knob{
	Name:    "net.ipv4.route.gc_timeout",
	Scope:   InitialOnly,
	Takes:   seconds(),
	Default: always(300),
	Does: "is how many seconds a route that an ICMP redirect gave is kept; it was of the " +
		"IPv4 route cache, too, which is gone since Linux 3.6",
	Not:    "does not bound connections",
	Source: "net/ipv4/route.c __ip_do_redirect (ip_rt_gc_timeout)",
	Aside:  true,
}, Knob{
	Name:    "net.ipv6.route.max_size",
	Scope:   PerNetns,
	Takes:   one(anyInt),
	Default: changed(4096, UnboundedRoutes, 2147483647),
	Does: "bounds cached IPv6 routes before Linux 6.3 (one for each destination whose " +
		"path has an MTU or a redirect of its own): above it connect() fails with " +
		"ENETUNREACH, and the log says \"Route cache is full\"; nothing since",
	Not:    "does not bound connections to destinations without such a route",
	Source: "net/ipv6/route.c ip6_dst_gc; net/core/dst.c dst_alloc; af6d10345ca7 (6.3)",
	Plan:   plan(1, 1<<30, "ipv6-route-cache"),
})

// UnboundedRoutes is when IPv6 stopped to bound its cached routes, and the default became the
// largest number (af6d10345ca7, CVE-2023-52340). Of the stable kernels 4.19, 5.4 and 6.1 are from
// their announcements of January 2024; 5.10 and 5.15 are of the same round (derived).
var UnboundedRoutes = host.Change{
	Since: host.V(6, 3),
	Stable: []host.Version{
		host.V(4, 19).At(305), host.V(5, 4).At(267), host.V(5, 10).At(208),
		host.V(5, 15).At(147), host.V(6, 1).At(73),
	},
}

func routes() (all []Knob) {
	for _, last := range []string{
		"max_size", "gc_thresh", "gc_interval", "gc_min_interval",
		"gc_min_interval_ms", "gc_elasticity",
	} {
		all = append(all, Knob{
			Name:  "net.ipv4.route." + last,
			Scope: InitialOnly,
			Takes: one(anyInt),
			Does: "sized the IPv4 route cache, which is gone since Linux 3.6; the " +
				"file is there and takes what is written",
			Source: "net/ipv4/route.c ipv4_route_table (no reader in 4.4-6.18); " +
				ipSysctl,
		})
	}
	return all
}

const ipSysctl = "Documentation/networking/ip-sysctl.rst"

// sending are settings of TCP that say how connections send and recover, not how many there can be.
// They are here because tuning files are full of them, and because some of their values break
// connections, are refused, or have done nothing for years.
var sending = []Knob{
	{
		Name:  "net.ipv4.tcp_congestion_control",
		Scope: perNetns19,
		Takes: Takes{Kind: Word},
		Aside: true,
		Does: "chooses the congestion control of new connections; its module has to be " +
			"there",
		Not:    "sets how fast they send, not how many there can be",
		Source: "net/ipv4/tcp_cong.c tcp_set_default_congestion_control",
	},
	{
		Name:  "net.ipv4.tcp_available_congestion_control",
		Takes: shown(),
		Scope: PerNetnsSince(Between(host.V(5, 4), host.V(5, 7))),
		Does: "lists the congestion controls that are loaded: load the module, tcp_bbr " +
			"for instance",
		Not: "cannot be written",
		Source: "net/ipv4/sysctl_net_ipv4.c proc_tcp_available_congestion_control (mode " +
			"0444)",
	},
	{
		Name:    "net.ipv4.tcp_fastopen",
		Scope:   perNetns19,
		Takes:   one(anyInt),
		Default: always(1),
		Aside:   true,
		Does: "lets data travel in the SYN: 1 for clients, 2 for servers, 3 for both, " +
			"and only for programs that ask for it",
		Not:    "saves a round trip and sets no ceiling",
		Source: ipSysctl,
	},
	{
		Name:  "net.ipv4.tcp_low_latency",
		Scope: InitialOnly,
		Takes: one(anyInt),
		Does: "switched the prequeue off, which is gone since Linux 4.14; the file is " +
			"there and takes what is written",
		Not:    "does nothing since",
		Source: "net/ipv4/sysctl_net_ipv4.c (no reader in 4.14-6.18); " + ipSysctl,
	},
	{
		Name:  "net.ipv4.tcp_fack",
		Scope: perNetns19,
		Takes: one(oneByte),
		Does: "turned forward acknowledgement on, which is gone since Linux 4.15 (RACK " +
			"does its work); the file is there and takes what is written",
		Not:    "does nothing since",
		Source: "net/ipv4/sysctl_net_ipv4.c (no reader in 4.15-6.18); " + ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_window_scaling",
		Scope:   perNetns14,
		Takes:   one(oneByte),
		Default: always(1),
		Aside:   true,
		Does:    "lets windows be larger than 65,535 bytes",
		Not:     "sets no ceiling on connections",
		Source:  "net/ipv4/tcp_output.c tcp_select_initial_window; RFC 7323",
	},
	{
		Name:    "net.ipv4.tcp_sack",
		Scope:   perNetns14,
		Takes:   one(oneByte),
		Default: always(1),
		Aside:   true,
		Does: "acknowledges what arrived behind a hole, so that a connection recovers " +
			"from several losses at once",
		Not:    "sets no ceiling on connections",
		Source: "net/ipv4/tcp_input.c tcp_sacktag_write_queue; RFC 2018",
	},
	{
		Name:    "net.ipv4.tcp_dsack",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(1),
		Aside:   true,
		Does:    "tells the peer of packets that came twice",
		Not:     "sets no ceiling",
		Source:  ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_frto",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(2),
		Aside:   true,
		Does:    "tells timeouts that were none from losses; any value but 0 turns it on",
		Not:     "sets no ceiling",
		Source:  ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_slow_start_after_idle",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(1),
		Aside:   true,
		Does: "makes a connection begin anew after a pause; with 0 it keeps its " +
			"congestion window",
		Not:    "sets how fast connections send, not how many there can be",
		Source: "net/ipv4/tcp_output.c tcp_cwnd_restart",
	},
	{
		Name:    "net.ipv4.tcp_no_metrics_save",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(0),
		Aside:   true,
		Does: "1 keeps no round trip times and thresholds of closed connections for " +
			"later ones to the same host",
		Not:    "sets no ceiling",
		Source: "net/ipv4/tcp_metrics.c tcp_update_metrics",
	},
	{
		Name:    "net.ipv4.tcp_mtu_probing",
		Scope:   PerNetns,
		Takes:   one(oneByte),
		Default: always(0),
		Aside:   true,
		Does: "looks for the packet size that a path takes: 0 never, 1 after a black " +
			"hole was met, 2 always",
		Not:    "sets no ceiling",
		Source: "net/ipv4/tcp_timer.c tcp_mtu_probing",
	},
	{
		Name:    "net.ipv4.tcp_ecn",
		Scope:   PerNetns,
		Default: always(2),
		Aside:   true,
		Takes: one([]Bound{
			anyInt[0], from(5, 13, 0, 255), from(5, 15, 0, 2), from(6, 19, 0, 255),
		}),
		Does: "is whether connections use explicit congestion notification (2: when the " +
			"peer asks)",
		Not:    "sets no ceiling",
		Source: ipSysctl,
	},
	{
		Name:  "net.ipv4.tcp_notsent_lowat",
		Scope: perNetns9,
		Takes: one(unsigned).in("bytes"),
		Aside: true,
		Does: "bounds data that a program has written and that is not sent yet, on " +
			"each connection",
		Not:    "saves memory of busy connections and sets no ceiling",
		Source: "include/net/tcp.h tcp_stream_memory_free",
	},
	{
		Name:    "net.ipv4.tcp_reordering",
		Scope:   perNetns9,
		Takes:   one(anyInt),
		Default: always(3),
		Aside:   true,
		Does:    "is how many packets out of order count as a loss at first",
		Not:     "sets no ceiling",
		Source:  ipSysctl,
	},
	{
		Name:  "net.ipv4.tcp_adv_win_scale",
		Scope: perNetns19,
		Takes: one(between(-31, 31)),
		Aside: true,
		Does: "was how much of a receive buffer is offered as window; nothing reads it " +
			"since Linux 6.6",
		Not:    "sets throughput and no ceiling",
		Source: "net/ipv4/tcp_input.c (no reader since dfa2f0483360, 6.6)",
	},
	{
		Name:   "net.ipv4.tcp_app_win",
		Scope:  perNetns19,
		Aside:  true,
		Takes:  one([]Bound{anyInt[0], from(5, 13, 0, 255), from(6, 5, 0, 31)}),
		Does:   "keeps a part of the window back for the application",
		Not:    "sets no ceiling",
		Source: ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_autocorking",
		Scope:   perNetns19,
		Takes:   one(between(0, 1)),
		Default: always(1),
		Aside:   true,
		Does:    "puts small writes together into one packet",
		Not:     "sets no ceiling",
		Source:  ipSysctl,
	},
	{
		Name:    "net.ipv4.tcp_early_retrans",
		Scope:   perNetns19,
		Takes:   one(between(0, 4)),
		Default: always(3),
		Aside:   true,
		Does:    "is whether a lost tail is probed for",
		Not:     "sets no ceiling",
		Source:  ipSysctl,
	},
	{
		Name:   "net.ipv4.tcp_limit_output_bytes",
		Scope:  perNetns19,
		Takes:  one(anyInt).in("bytes"),
		Aside:  true,
		Does:   "bounds what one connection may have in the queue of a device",
		Not:    "sets no ceiling on connections",
		Source: ipSysctl,
	},
	{
		Name:   "net.ipv4.tcp_thin_linear_timeouts",
		Scope:  perNetns19,
		Takes:  one(oneByte),
		Aside:  true,
		Does:   "sends again without doubling waits on connections with little data",
		Not:    "sets no ceiling",
		Source: ipSysctl,
	},
}
