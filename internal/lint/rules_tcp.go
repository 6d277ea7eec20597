package lint

import "github.com/maxconn/maxconn/internal/host"

// Rules of settings that do not say how many connections there can be. They are here because tuning files are full of them, and because some
// of their values break connections, are refused, or have done nothing for years.

const ipSysctl = "Documentation/networking/ip-sysctl.rst"

// tcpRules are of TCP.
var tcpRules = []rule{
	{key: "net.ipv4.tcp_congestion_control", takes: shape{kind: oneWord}, unrelated: true, does: "Chooses the congestion control of new connections ({v}); its module has to be there. It sets how fast they send, not how many there can be.", source: "net/ipv4/tcp_cong.c tcp_set_default_congestion_control"},
	{key: "net.ipv4.tcp_fastopen", takes: single(anyInt), unrelated: true, does: "Lets data travel in the SYN: 1 for clients (the default), 2 for servers, 3 for both, and only for programs that ask for it. It saves a round trip and sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_low_latency", takes: single(anyInt), judge: legacy(4, 14, "the prequeue that it switched off is gone"), source: "net/ipv4/sysctl_net_ipv4.c (no reader in 4.14-6.18); " + ipSysctl},
	{key: "net.ipv4.tcp_fack", takes: single(oneByte), judge: legacy(4, 15, "forward acknowledgement is gone, RACK does its work"), source: "net/ipv4/sysctl_net_ipv4.c (no reader in 4.15-6.18); " + ipSysctl},
	{key: "net.ipv4.tcp_window_scaling", takes: single(oneByte), judge: offBreaks("Windows cannot be larger than 65,535 bytes: a connection carries no more than that in a round trip. The default is 1.", "Window scaling is on; that is the default."), source: "net/ipv4/tcp_output.c tcp_select_initial_window; RFC 7323"},
	{key: "net.ipv4.tcp_sack", takes: single(oneByte), judge: offBreaks("After more than one lost packet in a window a connection recovers one packet in a round trip, or waits for a timeout. The default is 1.", "Selective acknowledgement is on; that is the default."), source: "net/ipv4/tcp_input.c tcp_sacktag_write_queue; RFC 2018"},
	{key: "net.ipv4.tcp_slow_start_after_idle", takes: single(oneByte), unrelated: true, does: "With 0 a connection keeps its congestion window after a pause; with 1, the default, it begins anew. It sets how fast connections send, not how many there can be.", source: "net/ipv4/tcp_output.c tcp_cwnd_restart"},
	{key: "net.ipv4.tcp_no_metrics_save", takes: single(oneByte), unrelated: true, does: "With 1 the kernel keeps no round trip times and thresholds of closed connections for later ones to the same host. It sets no ceiling.", source: "net/ipv4/tcp_metrics.c tcp_update_metrics"},
	{key: "net.ipv4.tcp_mtu_probing", takes: single(oneByte), unrelated: true, does: "Looks for the packet size that a path takes: 0 never (the default), 1 after a black hole was met, 2 always. It sets no ceiling.", source: "net/ipv4/tcp_timer.c tcp_mtu_probing"},
	{key: "net.ipv4.tcp_ecn", takes: single([]bound{{low: -1 << 31, top: 1<<31 - 1}, {since: host.V(5, 13), low: 0, top: 255}, {since: host.V(5, 15), low: 0, top: 2}, {since: host.V(6, 19), low: 0, top: 255}}), unrelated: true, does: "Is whether connections use explicit congestion notification (2 by default: when the peer asks). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_notsent_lowat", takes: single(unsigned), unrelated: true, does: "Bounds data that a program has written and that is not sent yet, on each connection. It saves memory of busy connections and sets no ceiling.", source: "include/net/tcp.h tcp_stream_memory_free"},
	{key: "net.ipv4.tcp_reordering", takes: single(anyInt), unrelated: true, does: "Is how many packets out of order count as a loss at first ({v}; 3 by default). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_frto", takes: single(oneByte), unrelated: true, does: "Tells timeouts that were none from losses; any value but 0 turns it on (2 by default). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_dsack", takes: single(oneByte), unrelated: true, does: "Tells the peer of packets that came twice (1 by default). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_adv_win_scale", takes: single(between(-31, 31)), unrelated: true, does: "Is how much of a receive buffer is offered as window. It sets throughput and no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_app_win", takes: single([]bound{{low: -1 << 31, top: 1<<31 - 1}, {since: host.V(5, 13), low: 0, top: 255}, {since: host.V(6, 5), low: 0, top: 31}}), unrelated: true, does: "Keeps a part of the window back for the application. It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_autocorking", takes: single(between(0, 1)), unrelated: true, does: "Puts small writes together into one packet (1 by default). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_early_retrans", takes: single(between(0, 4)), unrelated: true, does: "Is whether a lost tail is probed for (3 by default). It sets no ceiling.", source: ipSysctl},
	{key: "net.ipv4.tcp_limit_output_bytes", takes: single(anyInt), unrelated: true, does: "Bounds what one connection may have in the queue of a device. It sets no ceiling on connections.", source: ipSysctl},
	{key: "net.ipv4.tcp_ehash_entries", judge: nothing("Shows the size of the connection hash table and cannot be written: the write fails. The boot parameter thash_entries sets it."), source: "net/ipv4/sysctl_net_ipv4.c proc_tcp_ehash_entries (mode 0444, 6.1)"},
	{key: "net.ipv4.tcp_available_congestion_control", judge: nothing("Lists the congestion controls that are loaded and cannot be written: the write fails. Load the module, tcp_bbr for instance."), source: "net/ipv4/sysctl_net_ipv4.c proc_tcp_available_congestion_control (mode 0444)"},
	{key: "net.ipv4.tcp_thin_linear_timeouts", takes: single(oneByte), unrelated: true, does: "Sends again without doubling waits on connections with little data. It sets no ceiling.", source: ipSysctl},
}

// nothing is for settings that cannot be written, or that nothing reads.
func nothing(why string) func(*call) {
	return func(c *call) { c.say(NoEffect, why) }
}

// legacy is for settings that nothing reads any more.
func legacy(major, minor int, why string) func(*call) {
	gone := host.V(major, minor)
	return func(c *call) {
		if c.since(major, minor) {
			c.say(NoEffect, "Does nothing since Linux "+gone.String()+": "+why+". The file is there and takes what is written.")
			return
		}
		c.say(Unrelated, "Is not about how many connections there can be, and does nothing at all since Linux "+gone.String()+".")
	}
}

// offBreaks is for switches that connections need.
func offBreaks(off, on string) func(*call) {
	return func(c *call) {
		if c.n[0] == 0 {
			c.say(Harmful, off)
			return
		}
		c.say(Unrelated, on)
	}
}

// coreRules are of the network core and of connection tracking, where they are not about TCP connections.
var coreRules = []rule{
	{key: "net.core.warnings", judge: nothing("Nothing reads this setting."), source: "Documentation/admin-guide/sysctl/net.rst"},
	{key: "net.core.netdev_rss_key", judge: nothing("Shows a key and cannot be written: the write fails."), source: "net/core/sysctl_net_core.c (mode 0444)"},
	{key: "net.core.flow_limit_cpu_bitmap", source: "net/core/dev.c skb_flow_limit", does: "On the CPUs named, drops packets of a flow that fills more than half of an input queue that is half full, to keep room for the others (off by default). It does not enlarge the queue, which net.core.netdev_max_backlog bounds."},
	{key: "net.core.bypass_prot_mem", takes: single(between(0, 1)), source: "net/core/sock.c sk_alloc; Documentation/admin-guide/sysctl/net.rst (6.19)", judge: judgeBypass},
	{key: "net.core.mem_pcpu_rsv", takes: single(notBelow(256)), source: "include/net/proto_memory.h sk_memory_allocated_add; net/core/sysctl_net_core.c min_mem_pcpu_rsv (1 MB)", does: "Is how many pages of protocol memory each CPU counts on its own before it adds them to the total that net.ipv4.tcp_mem bounds ({v}; 256, the least, by default). It makes the counting cheaper and less exact, and moves no ceiling."},
	{key: "net.netfilter.nf_conntrack_udp_timeout", takes: inSeconds(), def: always(30), source: trackDoc, does: "Keeps the entry of a UDP flow that was not answered for {v} s (30 by default). UDP flows share the table with TCP connections."},
	{key: "net.netfilter.nf_conntrack_udp_timeout_stream", takes: inSeconds(), source: trackDoc, does: "Keeps the entry of a UDP flow with answers for {v} s. UDP flows share the table with TCP connections."},
	{key: "net.netfilter.nf_conntrack_generic_timeout", takes: inSeconds(), def: always(600), source: trackDoc, does: "Keeps the entry of a flow of another protocol for {v} s (600 by default). Such flows share the table with TCP connections."},
	{key: "net.netfilter.nf_conntrack_icmp_timeout", takes: inSeconds(), def: always(30), source: trackDoc, does: "Keeps the entry of a ping for {v} s (30 by default). Pings share the table with TCP connections."},
}

const trackDoc = "Documentation/networking/nf_conntrack-sysctl.rst"

// routeRules are of a cache that is gone, which old advice still sizes.
var routeRules = makeRoutes()

func makeRoutes() (out []rule) {
	for _, key := range []string{"max_size", "gc_thresh", "gc_timeout", "gc_interval", "gc_min_interval", "gc_min_interval_ms", "gc_elasticity"} {
		out = append(out, rule{key: "net.ipv4.route." + key, takes: single(anyInt), source: "net/ipv4/route.c ipv4_route_table (no reader in 4.4-6.18); " + ipSysctl, judge: func(c *call) {
			c.say(NoEffect, "Does nothing since Linux 3.6: the IPv4 route cache that it sized is gone. The file is there and takes what is written.")
		}})
	}
	return append(out, rule{key: "net.ipv6.route.max_size", takes: single(anyInt), source: "net/ipv6/route.c ip6_dst_gc; af6d10345ca7 (6.3)", judge: func(c *call) {
		if c.since(6, 3) {
			c.say(NoEffect, "Does nothing since Linux 6.3: IPv6 routes are not counted against it any more.")
			return
		}
		c.say(Unrelated, "Bounds cached IPv6 routes, not connections.")
	}})
}

func judgeBypass(c *call) {
	if first(c.n) == 0 {
		c.say(Effective, "New sockets count in net.ipv4.tcp_mem. That is the default.")
		return
	}
	c.say(Effective, "What new sockets of this network namespace queue no longer counts in net.ipv4.tcp_mem, the bound of the whole host: only the memory limit of their cgroup bounds it, and where it has none nothing but the host's memory does. It moves no ceiling on connections.")
}
