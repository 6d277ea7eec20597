package host

// The kinds of facts. Tables (one fact a row) list the fields of their rows;
// a field that could not be read is absent from the row.
const (
	// SystemKind holds single facts of the machine and the subject: name, kernel,
	// cpus, boot (RFC 3339, UTC), page-size (bytes), netns ("net:[4026531840]"),
	// netns-cookie (a number that no other network namespace of the boot has; Linux 5.14),
	// netns-name (as the user named it), scope ("initial" or "child" network
	// namespace), user ("root" or "uid 1000"), window (length of the observation, "10s",
	// only where two samples were taken), glance (time between two looks at some counters,
	// "1s", of which facts of kind moved tell), bound-sockets ("listed" where the
	// kernel lists sockets that are bound and nothing else, Linux 6.8+),
	// own-files-soft and own-files-hard (descriptor limits of the shell that started maxconn),
	// cgroup-options (what the boot option cgroup.memory= leaves out: "nosocket", "nokmem"),
	// lsm (the active security modules in their order: "lockdown,capability,apparmor"), os
	// (ID and VERSION_ID of os-release: "debian 12"; that of the subject's root directory,
	// which need not be the distribution that built the kernel).
	SystemKind Kind = "system"
	// SysctlKind facts are named as sysctl(8) names them: net.core.somaxconn.
	// White space in a value is one space. fs.file-nr and
	// net.netfilter.nf_conntrack_count are read-only sysctls and stand here too.
	SysctlKind Kind = "sysctl"
	// CounterKind facts are the counters of /proc/net/netstat and snmp of the
	// subject's namespace: TcpExt.ListenDrops, Tcp.ActiveOpens. Since boot, or since the
	// namespace was made.
	CounterKind Kind = "counter"
	// SockstatKind: /proc/net/sockstat and sockstat6: TCP.inuse, TCP.tw, TCP.mem, TCP6.inuse.
	// TCP.orphan, TCP.alloc and TCP.mem are host-wide, the others of the namespace.
	SockstatKind Kind = "sockstat"
	// MeminfoKind: /proc/meminfo in kB: MemTotal, MemAvailable, Slab, SUnreclaim.
	MeminfoKind Kind = "meminfo"
	// LoadavgKind: threads (all tasks of the host).
	LoadavgKind Kind = "loadavg"
	// SoftnetKind is a table by CPU ("cpu0"): processed dropped squeezed
	// received_rps flow_limit backlog. Host-wide.
	SoftnetKind Kind = "softnet"
	// ConntrackKind: entries, and sums over CPUs of columns of
	// /proc/net/stat/nf_conntrack: drop, early_drop, insert_failed.
	ConntrackKind Kind = "conntrack"
	// RulesetKind: rules (all rules of nf_tables), legacy (tables of the older iptables that
	// are loaded and whose rules are not read: "nat,filter", or "none").
	RulesetKind Kind = "ruleset"
	// RuleKind is a table by "family/table/chain#handle" of rules of nf_tables that bound
	// connections: count (connections at once, "none", or "unknown"), rate (packets, "none",
	// or "unknown") in seconds, and burst; over (yes: it is of what is beyond), each (yes: of
	// each address or key by itself), verdict ("drop", "reject", "accept", "return", "jump",
	// "goto", "unknown"), packets (of its counter, "none" without one), hooks ("input,forward",
	// or "unknown"), protocol (a number, or "any"), port (the destination's, or "any"), new
	// (yes: connections that begin), plain (yes: nothing else decides which packets it is).
	RuleKind Kind = "rule"
	// SNATKind is a table by "family/table/chain#handle" of rules of nf_tables that rewrite
	// source addresses: to ("masquerade", "same" for ports alone, or "10.0.0.1-10.0.0.5"),
	// ports ("any", "unknown" or "40000-40009"), fully_random (yes/no), protocol (a number,
	// or "any").
	SNATKind Kind = "snat"
	// NATKind is a table by "source->destination:port", the source as it was rewritten:
	// entries (of connection tracking, TCP), closing (of these: closed, or one side has
	// closed), unanswered (of these), own (further entries that hold ports of the source, not
	// rewritten; absent where they were not counted), low and high (ports of the source).
	NATKind Kind = "nat"
	// UnresolvedKind is a table by address of neighbours whose hardware address the kernel
	// asks for now: link, syn_sent (connections under way to or through it), queue
	// (unres_qlen_bytes of the device and family).
	UnresolvedKind Kind = "unresolved"
	// NeighbourKind: arp.entries, arp.table_fulls, arp.unresolved_discards and the same of
	// ndisc (host-wide, initial namespace only); own.ipv4, own.ipv6 (entries of this
	// namespace).
	NeighbourKind Kind = "neighbour"
	// SlabKind is a table by cache name (TCP, TCPv6, sock_inode_cache, dentry, filp,
	// request_sock_TCP, tw_sock_TCP, tcp_bind_bucket, tcp_bind2_bucket,
	// eventpoll_epi, eventpoll_pwq, nf_conntrack): active objects size (bytes).
	SlabKind Kind = "slab"
	// ProtocolKind is a table by protocol (TCP, TCPv6) of /proc/net/protocols: size
	// (bytes) sockets memory (pages).
	ProtocolKind Kind = "protocol"
	// LinkKind is a table by device: index kind up (yes/no) mtu txqueuelen qdisc (root)
	// addresses rx_dropped tx_dropped backlog ("netif_rx", "napi", "rps", "gro_cells"
	// (a queue of netdev_max_backlog packets of the device's own; drops are in
	// rx_dropped), absent when unknown: which way received packets take).
	LinkKind Kind = "link"
	// QdiscKind is a table by "device/handle": kind link limit (as the kernel gives it)
	// unit (of limit: packets, bytes) backlog (packets) packets (sent) drops overlimits
	// root (yes/no).
	QdiscKind Kind = "qdisc"
	// AddressKind is a table by local address: link.
	AddressKind Kind = "address"
	// ListenerKind is a table by "address:port", and "address:port~2" and so on for
	// further members of a SO_REUSEPORT group: family (4, 6) v6only (1: [::], and it takes
	// no IPv4) queue limit (as the kernel
	// gives it: sk_max_ack_backlog) drops uid inode pid process (the lowest pid that
	// holds it) pids (all that hold it, "12,13", where several do) syn (half-open
	// connections, counted on the first member of a group, group-wide) oldest and
	// youngest (waiting time of unaccepted connections, see Age) running (see Age: how long
	// its oldest process runs, so that it is no older unless it was handed down; only with
	// drops) backlog (the argument
	// of listen() where it can be inferred, else absent) cgroup.
	ListenerKind Kind = "listener"
	// InboundKind is a table by listener ("address:port", a group is one row): one
	// field a TCP state (ESTABLISHED ...), unaccepted (of ESTABLISHED and CLOSE_WAIT:
	// not yet taken by accept()), pid process (who holds the accepted sockets, where
	// one process holds most), several (yes: all holders were found, and none holds
	// most), unaccepted_close_wait (of CLOSE_WAIT: not yet taken by
	// accept()), close_wait_age (see Age: at least half of the CLOSE_WAIT sockets,
	// unaccepted ones left out, have been in it this long). A row without a listener of
	// its name is what is left of one that has been closed.
	InboundKind Kind = "inbound"
	// OutboundKind is a table by "source->destination:port": one field a TCP state,
	// ranged (sockets whose local port is in ip_local_port_range and not reserved),
	// local-ports known. pid process; timestamps (yes/no: seen on established ones, of
	// the row or to the same address); reusable (of ranged, in TIME_WAIT for longer than
	// the delay of tcp_tw_reuse);
	// fold (how many sockets may be missing from the row because the table was full).
	// close_wait_age (as for inbound). band (the part of the port range that the sockets
	// have been given, "40000-40019", or "mixed"; those looked at).
	OutboundKind Kind = "outbound"
	// SourceKind is a table by local address of outbound sockets: sockets,
	// destinations, ports (distinct local ports in the range), shared (of these, used
	// to two or more destinations at once), opposite (of these, of the parity that
	// connect() takes last: not the parity of the range's low end).
	SourceKind Kind = "source"
	// BinderKind is a table by pid ("?" where unknown, "0" for all beyond the processes that
	// are told apart) of bound-only sockets: process, several (yes: of "0"), ports (a port
	// list).
	BinderKind Kind = "binder"
	// PortsKind: port lists such as "8080,40000-40009": listening, bound (bind()
	// without connect or listen; only where system bound-sockets is "listed"), looked-up
	// (those of which all holders were asked for).
	PortsKind Kind = "ports"
	// ProcessKind is a table by pid: name uid start (clock ticks since boot, tells a
	// pid that was used again) state (R, S, D, T ...) cgroup unit soft hard
	// ("unlimited" is a word) files threads nproc nproc_hard (RLIMIT_NPROC) epoll (epoll
	// descriptors) files_below (of files, those numbered below soft; only where files
	// exceed soft) sockets (TCP sockets found) attributed ("all", or "512" of its
	// descriptors were read) and one field a TCP state; pids_cgroup (the cgroup that
	// bounds its threads, where that is not the one in cgroup: version 1). unseen_cgroup
	// ("yes" where the group that bounds its memory could not be reached), frozen ("yes"
	// where a group of it is: "docker pause"). own_limit (the
	// connections that its configuration allows a process of a known server),
	// tables (descriptor tables, where threads have their own), files_most (descriptors of
	// the fullest), unseen_tables ("yes" where that could not be told), estimate and error
	// (connections, from the descriptors that were read, and by how much that may be off),
	// held_sockets (other than these), held_eventfds, held_pipes, held_files, held_others,
	// unconnected (of held_sockets, TCP; about; the last six only near the limit).
	// own_limit_name (the setting), own_limit_counts ("all", "inbound"). sysadmin
	// (yes/no: CAP_SYS_ADMIN in the initial user namespace, which exempts from
	// fs.file-max). filters (the numbers of the programs in filter that decide on what it does,
	// "97,98"), confined (how a security module calls what it may do: "docker-default
	// (enforce)"; absent where none confines it).
	ProcessKind Kind = "process"
	// CgroupKind is a table by cgroup path, ancestors included: version (1, 2)
	// memory_max ("max" is a word) memory_current memory_sock memory_events_max
	// memory_events_oom memory_failcnt pids_max pids_current pids_events_max.
	// memory_file: page cache that can be given back (inactive_file + active_file of
	// memory.stat; total_ ones in version 1). id (the inode of its directory, which the next
	// of its path does not get). memory_slab (slab_reclaimable), memory_anon
	// (anon and shmem), memory_kmem and memory_kmem_max (version 1). above ("unseen" for
	// the topmost where there are more that cannot be seen).
	CgroupKind Kind = "cgroup"
	// UserKind is a table by uid: sockets (TCP sockets in this namespace).
	UserKind Kind = "user"
	// RestKind is a table by kind ("outbound", "nat"): the connections of rows that a table
	// left out for size, summed: one field a TCP state, largest (no destination left
	// out has more sockets than this).
	RestKind Kind = "rest"
	// HolderKind is a table by "local:port->peer:port", or "local:port" and "local:port~2"
	// of listeners and bound sockets: the sockets that have a port that was looked up. state
	// (BOUND: bind() alone) pid process.
	HolderKind Kind = "holder"
	// FilterKind is a table by the number of an eBPF program that applies in a cgroup of the
	// processes shown: hook ("connect4", "ingress,egress": where it decides) program (its name)
	// at (the cgroup that it is attached to, absent where that is above what can be seen)
	// refuses (what its instructions can return: "all", nothing but a refusal; "none", nothing
	// but leave; "maybe"; "unread"). Programs of the hook "lsm" are those of the BPF security
	// module, and apply on the whole host.
	FilterKind Kind = "filter"
	// AllowanceKind is a table by device with a driver of hardware: index driver and, by the
	// driver's names, what it counts of the cloud's allowances: *_allowance_exceeded (packets
	// dropped or held up), conntrack_allowance_available (connections that may still be
	// tracked); rx_ratelimit_packets, rx_ratelimit_bytes and the same of tx (virtio_net, sums
	// over the queues).
	AllowanceKind Kind = "allowance"
	// DatapathKind is a table by "name:number" of the maps of connections and of translated
	// ports of eBPF datapaths (Cilium, Calico): type ("hash", "lru_hash") max entries (absent
	// where they were not counted). Host-wide.
	DatapathKind Kind = "datapath"
	// RouteKind: ipv6.entries (routes of IPv6 that count against net.ipv6.route.max_size).
	RouteKind Kind = "route"
	// FeatureKind: what this kernel was seen to do, or not to do, whatever its version says:
	// IP_LOCAL_PORT_RANGE (yes/no).
	FeatureKind Kind = "feature"
	// MovedKind: what changed during system window or glance, by "kind/name" or
	// "kind/name/field": a signed difference. Absent where nothing moved.
	MovedKind Kind = "moved"
)

// tables are the kinds whose facts are rows of fields.
var tables = map[Kind]bool{
	SoftnetKind: true, SlabKind: true, ProtocolKind: true, LinkKind: true, QdiscKind: true,
	AddressKind:  true,
	ListenerKind: true, InboundKind: true, OutboundKind: true, SourceKind: true,
	BinderKind: true, ProcessKind: true,
	RuleKind: true, SNATKind: true, NATKind: true, UnresolvedKind: true,
	CgroupKind: true, UserKind: true, RestKind: true, HolderKind: true,
	FilterKind: true, AllowanceKind: true, DatapathKind: true,
}

// always are the fields that observe writes in every row of a table; what is absent where there
// is nothing to count, or where a kernel does not tell it, is not among them.
var always = map[Kind][]string{
	SoftnetKind:  {"processed", "dropped"},
	ListenerKind: {"queue", "limit"},
	InboundKind:  {"unaccepted"},
	OutboundKind: {"ranged"},
	SourceKind:   {"ports", "shared", "opposite", "destinations"},
	QdiscKind:    {"link", "kind"},
	ProcessKind:  {"soft", "hard", "files", "attributed"},
	UserKind:     {"sockets"},
	RuleKind: {"count", "rate", "seconds", "burst", "over", "each", "verdict", "packets",
		"hooks", "protocol", "port", "new", "plain"},
	SNATKind:       {"to", "ports", "fully_random", "protocol"},
	NATKind:        {"entries", "closing", "unanswered", "low", "high"},
	UnresolvedKind: {"link", "syn_sent", "queue"},
	FilterKind:     {"hook", "refuses"},
	DatapathKind:   {"type", "max"},
}

// IsTable says whether facts of this kind are rows of fields.
func (k Kind) IsTable() bool { return tables[k] }

// States are the TCP states that count connections, by their field name in
// rows of inbound, outbound and process.
var States = []string{
	"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT",
	"CLOSE_WAIT", "LAST_ACK", "CLOSING",
}

// Sysctl names a sysctl.
func Sysctl(name string) Fact { return Fact{SysctlKind, name} }

// System names a fact of the machine or the subject.
func System(name string) Fact { return Fact{SystemKind, name} }

// Counter names a counter of /proc/net/netstat or snmp, such as "TcpExt.ListenDrops".
func Counter(name string) Fact { return Fact{CounterKind, name} }

// Sockstat names a figure of /proc/net/sockstat, such as "TCP.inuse".
func Sockstat(name string) Fact { return Fact{SockstatKind, name} }

// Meminfo names a figure of /proc/meminfo, in kB.
func Meminfo(name string) Fact { return Fact{MeminfoKind, name} }

// Ports names a port list: "listening" or "bound".
func Ports(name string) Fact { return Fact{PortsKind, name} }

// LookedUp is the list of ports whose holders are in the snapshot.
const LookedUp = "looked-up"

// All names a whole table, for a limit's Needs.
func All(k Kind) Fact { return Fact{k, "*"} }
