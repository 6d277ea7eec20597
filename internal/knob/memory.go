package knob

import "github.com/maxconn/maxconn/internal/host"

// shownLate is of the initial network namespace, and others show it read-only since 6.11
// (19249c0724f2).
var shownLate = Scope{Initial: true, ReadOnly: Since(6, 11)}

// socketMax is 4 MiB since a6d4f25888b8.
var socketMax = changed(212992, host.Came(6, 17), 4<<20)

// FirstWindow is the default of the second number of tcp_rmem, with which receive buffers begin
// (a337531b942b).
var FirstWindow = changed(87380, host.Came(4, 20), 131072)

// memory are settings of memory for connections and their data.
var memory = []Knob{
	{
		Name:    "net.ipv4.tcp_mem",
		Scope:   InitialOnly,
		Takes:   several(3, unsigned).in("pages"),
		Default: computed(tcpPages),
		Does: "three numbers of pages: below the first all is allowed, above the second " +
			"pressure, above the third no more; acts at once; by default the second " +
			"is 1/16 of the pages that buffers may use, the first 3/4 of it, the " +
			"third 3/2 of it",
		Not: "does not count sockets, cannot be read or written in a child network " +
			"namespace",
		Source: "net/core/sock.c __sk_mem_raise_allocated; net/ipv4/tcp.c tcp_init_mem, " +
			"tcp_check_oom",
		InUse: QueuePages,
		Plan:  plan(1, mostPages, "tcp-memory"),
	},
	{
		SafeInPods: host.V(1, 32),
		Name:       "net.ipv4.tcp_rmem",
		Scope:      Scope{Netns: true, Own: Since(4, 15), Copied: true},
		Takes:      several(3, atLeast(1)).in("bytes"),
		Default:    largest(changed(6<<20, host.Came(6, 16), 32<<20)),
		Does: "minimum, first and greatest receive buffer of a socket, in bytes; the " +
			"minimum is granted even under pressure, the last bounds auto-tuning; " +
			"new sockets see the change",
		Not: "is not memory taken at birth; a lower maximum saves only where peers fill " +
			"the buffer",
		Source: "net/ipv4/tcp_input.c tcp_rcv_space_adjust; net/ipv4/tcp.c tcp_init, " +
			"tcp_init_sock; 356d1833b638 (4.15), 572be9bf9d0d (6.16)",
	},
	{
		SafeInPods: host.V(1, 32),
		Name:       "net.ipv4.tcp_wmem",
		Scope:      Scope{Netns: true, Own: Since(4, 15), Copied: true},
		Takes:      several(3, atLeast(1)).in("bytes"),
		Default:    largest(always(4 << 20)),
		Does: "minimum, first and greatest send buffer of a socket, in bytes; the " +
			"minimum is granted even under pressure; new sockets see the change",
		Not: "is not memory taken at birth; a lower maximum saves only where programs " +
			"fill the buffer",
		Source: "net/ipv4/tcp_input.c tcp_sndbuf_expand; net/ipv4/tcp.c tcp_init, " +
			"tcp_init_sock; 356d1833b638 (4.15)",
	},
	{
		Name:    "net.ipv4.tcp_moderate_rcvbuf",
		Scope:   perNetns19,
		Takes:   one(oneByte),
		Default: always(1),
		Does: "lets the receive buffer of a socket grow up to tcp_rmem[2] as the " +
			"program reads",
		Not: "does not act on sockets whose program set SO_RCVBUF",
		Source: "net/ipv4/tcp_input.c tcp_rcv_space_adjust (4.4-6.18); " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name:    "net.core.rmem_max",
		Scope:   shownLate,
		Takes:   one(atLeast(2304)).in("bytes"),
		Default: socketMax,
		Does: "caps what a program may ask for with SO_RCVBUF; where it is above the " +
			"last number of tcp_rmem, it sets the window scale that the SYN offers",
		Not: "does not bound auto-tuning; has nothing to do with the number of " +
			"connections",
		Source: "net/core/sock.c sk_setsockopt (SO_RCVBUF); net/ipv4/tcp_output.c " +
			"tcp_select_initial_window; a6d4f25888b8 (6.17), 19249c0724f2 (6.11)",
	},
	{
		Name:    "net.core.wmem_max",
		Scope:   shownLate,
		Takes:   one(atLeast(4608)).in("bytes"),
		Default: socketMax,
		Does:    "caps what a program may ask for with SO_SNDBUF",
		Not: "does not bound auto-tuning; has nothing to do with the number of " +
			"connections",
		Source: "net/core/sock.c sk_setsockopt (SO_SNDBUF); a6d4f25888b8 (6.17), " +
			"19249c0724f2 (6.11)",
	},
	{
		Name:    "net.core.rmem_default",
		Scope:   shownLate,
		Takes:   one(atLeast(2304)).in("bytes"),
		Default: always(212992),
		Does: "is the first receive buffer of sockets of other protocols (UDP, raw " +
			"and Unix sockets)",
		Not: "does not act on TCP, which takes the second number of tcp_rmem",
		Source: "net/core/sock.c sock_init_data_uid; net/ipv4/tcp.c tcp_init_sock " +
			"(4.4-6.18)",
	},
	{
		Name:    "net.core.wmem_default",
		Scope:   shownLate,
		Takes:   one(atLeast(4608)).in("bytes"),
		Default: always(212992),
		Does: "is the first send buffer of sockets of other protocols (UDP, raw and " +
			"Unix sockets)",
		Not: "does not act on TCP, which takes the second number of tcp_wmem",
		Source: "net/core/sock.c sock_init_data_uid; net/ipv4/tcp.c tcp_init_sock " +
			"(4.4-6.18)",
	},
	{
		Name:  "net.core.optmem_max",
		Scope: PerNetnsSince(Between(host.V(6, 6), host.V(6, 8))),
		Takes: one(anyInt).in("bytes"),
		Does: "bounds the memory of socket options and control messages of one socket " +
			"(ancillary data, filters, notices of zero-copy sends), and so the keys " +
			"of TCP-MD5 and TCP-AO that a listener can have: about 150 peers (BGP " +
			"sessions) by default, then setsockopt() fails with ENOMEM",
		Not:    "does not bound connections without such keys",
		Source: "net/core/sock.c sock_kmalloc; Documentation/admin-guide/sysctl/net.rst",
		Aside:  true,
	},
	{
		Name:    "net.core.mem_pcpu_rsv",
		Since:   Since(6, 9),
		Scope:   InitialOnly,
		Takes:   one(atLeast(256)).in("pages"),
		Default: always(256),
		Does: "is how many pages each CPU may hold back before it adds them to the " +
			"common count that tcp_mem bounds, by which `mem` in sockstat may be " +
			"off; the pages are held back since 6.0, the sysctl is in 6.6 and 6.8 " +
			"stable kernels too",
		Not: "does not bound connections: it makes the counting cheaper and less exact, " +
			"and moves no ceiling",
		Source: "include/net/proto_memory.h sk_memory_allocated_add; " +
			"net/core/sysctl_net_core.c min_mem_pcpu_rsv (1 MB); 3cd3399dd7a8 (6.0), " +
			"12a686c2e761 (6.9)",
	},
	{
		Name:    "net.core.bypass_prot_mem",
		Since:   Since(6, 19),
		Scope:   PerNetnsSince(Since(6, 19)),
		Takes:   one(between(0, 1)),
		Default: always(0),
		Does: "1 takes new sockets of the network namespace out of tcp_mem, so that only " +
			"their cgroup counts what they queue",
		Not: "does not change sockets that are open, and does not lift the memory limit " +
			"of the cgroup",
		Source: "net/core/sock.c sk_alloc, __sk_mem_raise_allocated; " +
			"Documentation/admin-guide/sysctl/net.rst bypass_prot_mem (6.19)",
	},
	{
		Name:   "net.ipv4.udp_mem",
		Scope:  InitialOnly,
		Takes:  several(3, unsigned).in("pages"),
		Does:   "bounds the pages that all UDP sockets have queued",
		Not:    "does not act on TCP, which has tcp_mem",
		Source: "net/ipv4/udp.c udp_init, udp_prot (sysctl_mem)",
		Aside:  true,
	},
	{
		Name: "memory.max",
		Also: []string{"MemoryMax", "memory_max"},
		Does: "is the limit of a version 2 cgroup and all below it; a write acts at " +
			"once; systemd writes it from MemoryMax=, container runtimes from --memory",
		Not:    "raising that of a child does not lift that of an ancestor",
		Source: "mm/memcontrol.c memory_max_write; systemd.resource-control(5)",
	},
	{
		Name: "memory.limit_in_bytes",
		Does: "is the limit of a version 1 cgroup; kernel memory counts against it, " +
			"data in TCP queues does not",
		Source: "Documentation/admin-guide/cgroup-v1/memory.rst",
	},
	{
		Name: "memory.kmem.tcp.limit_in_bytes",
		Does: "is a limit of its own for data in TCP queues of a version 1 cgroup, " +
			"counted only from the time when it is set",
		Not:    "does not bound the number of connections",
		Source: "Documentation/admin-guide/cgroup-v1/memory.rst",
	},
	{
		Name:   "memory.high",
		Also:   []string{"MemoryHigh"},
		Does:   "slows the processes of a version 2 cgroup down above it",
		Not:    "refuses nothing",
		Source: "Documentation/admin-guide/cgroup-v2.rst memory.high",
	},
	{
		Name:   "cgroup.memory=nosocket",
		Since:  Since(4, 5),
		Does:   "is a boot parameter: data in queues is not charged to cgroups",
		Not:    "sockets, files and epoll entries are charged all the same",
		Source: "Documentation/admin-guide/kernel-parameters.txt, f7e1cb6ec51b (4.5)",
	},
}
