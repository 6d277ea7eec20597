package knob

import (
	"slices"

	"github.com/maxconn/maxconn/internal/host"
)

// Tracking is the module of connection tracking.
const Tracking = "nf_conntrack"

const (
	trackDoc    = "Documentation/networking/nf_conntrack-sysctl.rst"
	trackSource = "net/netfilter/nf_conntrack_standalone.c"
	trackCore   = "net/netfilter/nf_conntrack_core.c"
)

// MostBuckets is the largest hash table that a host has by default (d532bcd0b269).
var MostBuckets = changed(65536, host.Came(5, 15), 262144)

// trackScope is one value for the host; before 5.13 a write in any namespace changed it.
var trackScope = Scope{ReadOnly: Since(5, 13)}

// tracking are settings of connection tracking.
var tracking = append([]Knob{
	{
		Name:   "net.netfilter.nf_conntrack_buckets",
		Scope:  trackScope,
		Module: Tracking,
		Option: "hashsize",
		Takes:  one(atLeast(0)),
		Does: "is the size of the hash table, shared by all namespaces; 8 bytes each; a " +
			"write rebuilds the table at once; read-only, and one for each " +
			"namespace, on 4.4",
		Not: "does not change nf_conntrack_max once the module is loaded",
		Source: trackCore + " nf_conntrack_hash_resize; " +
			trackSource + " nf_conntrack_hash_sysctl",
		Plan: plan(1, 1<<30, "conntrack"),
	},
	{
		Name:   "net.netfilter.nf_conntrack_max",
		Scope:  trackScope,
		Module: Tracking,
		// 0 is refused since 6.19 (SYSCTL_ONE in 7.1.3; the release is derived).
		Takes: one([]Bound{anyInt[0], from(6, 15, 0, 1<<31-1), from(6, 19, 1, 1<<31-1)}),
		Default: Default{
			On:    tracked,
			Words: "262,144 above 4 GiB of memory, 65,536 above 1 GiB",
		},
		After: []string{"net.netfilter.nf_conntrack_buckets"},
		Does: "is how many entries each network namespace may have; the next new " +
			"connection sees a change; 0 is no limit, and refused since about " +
			"Linux 6.19",
		Not: "does not resize the hash table: set nf_conntrack_buckets with it; the key " +
			"is there only after nf_conntrack has been loaded, so a sysctl.d file " +
			"may come too early at boot",
		Source: trackCore + " __nf_conntrack_alloc, nf_conntrack_init_start; " +
			"d532bcd0b269 (5.15), 2671fa4dc010 (5.13), 8b6861390ffe (6.15 and " +
			"stable kernels of May 2025)",
		InUse: TrackedConnections,
		Plan:  plan(1, 1<<30, "conntrack"),
	},
	{
		Name:   "net.nf_conntrack_max",
		Scope:  InitialOnly,
		Module: Tracking,
		Does:   "is the same value as net.netfilter.nf_conntrack_max under its older name",
		Source: trackSource + " nf_ct_netfilter_table",
		InUse:  TrackedConnections,
	},
	{
		Name:   "net.netfilter.nf_conntrack_count",
		Scope:  PerNetns,
		Module: Tracking,
		Takes:  shown(),
		Does:   "is the number of entries of this namespace",
		Not: "cannot be written; is not the number of connections: closed ones, UDP " +
			"and ICMP count as well",
		Source: trackSource + " nf_ct_sysctl_table (mode 0444)",
	},
	{
		Name:    "net.netfilter.nf_conntrack_tcp_loose",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   one(anyInt),
		Default: always(1),
		Does: "picks up connections that the table does not know in the middle; 0 " +
			"makes their packets INVALID",
		Source: "net/netfilter/nf_conntrack_proto_tcp.c tcp_new; " + trackDoc,
	},
	{
		Name:    "net.netfilter.nf_conntrack_tcp_be_liberal",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   one(anyInt),
		Default: always(0),
		Does:    "1 does not mark packets outside of the window as INVALID",
		Not:     "makes no room in the table",
		Source:  "net/netfilter/nf_conntrack_proto_tcp.c tcp_in_window; " + trackDoc,
		Aside:   true,
	},
	{
		Name:    "net.netfilter.nf_conntrack_tcp_max_retrans",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   one(oneByte),
		Default: always(3),
		Does: "is after how many repeated packets the entry gets the time of " +
			"nf_conntrack_tcp_timeout_max_retrans",
		Source: "net/netfilter/nf_conntrack_proto_tcp.c nf_conntrack_tcp_packet; " +
			trackDoc,
		Aside: true,
	},
	{
		Name:    "net.netfilter.nf_conntrack_udp_timeout",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   seconds(),
		Default: always(30),
		Does: "keeps the entry of a UDP flow that was not answered for this many " +
			"seconds",
		Not:    "is not about TCP, but UDP flows share the table with its connections",
		Source: trackDoc,
	},
	{
		Name:   "net.netfilter.nf_conntrack_udp_timeout_stream",
		Scope:  PerNetns,
		Module: Tracking,
		Takes:  seconds(),
		Does:   "keeps the entry of a UDP flow with answers for this many seconds",
		Not:    "is not about TCP, but UDP flows share the table with its connections",
		Source: trackDoc,
	},
	{
		Name:    "net.netfilter.nf_conntrack_generic_timeout",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   seconds(),
		Default: always(600),
		Does:    "keeps the entry of a flow of another protocol for this many seconds",
		Not:     "is not about TCP, but such flows share the table with its connections",
		Source:  trackDoc,
	},
	{
		Name:    "net.netfilter.nf_conntrack_icmp_timeout",
		Scope:   PerNetns,
		Module:  Tracking,
		Takes:   seconds(),
		Default: always(30),
		Does:    "keeps the entry of a ping for this many seconds",
		Not:     "is not about TCP, but pings share the table with its connections",
		Source:  trackDoc,
	},
}, trackTimes()...)

// TrackState is a state of the tracker, whose entries go after a time without a packet.
type TrackState struct {
	Name  string // as in nf_conntrack_tcp_timeout_NAME
	Entry string // what is in it: "a closed connection"
	after int64  // seconds by default
	more  string
}

// TrackStates are those of TCP.
func TrackStates() []TrackState {
	const timeWait = ", counted from its last packet: nf_conntrack_max divided by it is the " +
		"ceiling on new connections each second"
	return []TrackState{
		{"established", "an established connection", 432000, ""},
		{"time_wait", "a closed connection", 120, timeWait},
		{"fin_wait", "a connection of which one side has sent FIN", 120, ""},
		{"syn_sent", "a connection of which only the SYN was seen", 120, ""},
		{"syn_recv", "a connection whose SYN was answered and not yet acknowledged", 60,
			""},
		{"close_wait", "a connection whose FIN was acknowledged and whose other side has " +
			"not closed", 60, ""},
		{"last_ack", "a connection that waits for the last ACK", 30, ""},
		{"close", "a connection that ended with RST", 10, ""},
		{"unacknowledged", "a connection with data that nobody acknowledges", 300, ""},
		{"max_retrans", "a connection whose packets are sent again and again", 300, ""},
	}
}

// Key is the sysctl of the state.
func (s TrackState) Key() string { return trackPrefix + "tcp_timeout_" + s.Name }

func trackTimes() (all []Knob) {
	for _, s := range TrackStates() {
		all = append(all, Knob{
			Name:    s.Key(),
			Scope:   PerNetns,
			Module:  Tracking,
			Takes:   seconds(),
			Default: always(s.after),
			Does: "seconds without a packet after which the entry of " + s.Entry +
				" goes" + s.more + "; entries that get a packet take the new value",
			Not: "does not close the TCP connection and does not change TCP's own " +
				"timers; an entry that goes too early makes later packets of its " +
				"connection look new or invalid to the rules",
			Source: "net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts; " + trackDoc,
		})
	}
	return all
}

// neighbouring are settings of the tables of neighbours.
var neighbouring = slices.Concat(
	neighbours("ipv4", "IPv4 (ARP)", Neighbours4),
	neighbours("ipv6", "IPv6", Neighbours6),
	neighbourQueues("ipv4"), neighbourQueues("ipv6"),
)

// neighbourQueues are the two names of one value: bytes, and what they give in packets of full
// size.
func neighbourQueues(family string) []Knob {
	name := "net." + family + ".neigh.*.unres_qlen"
	return []Knob{{
		Name:    name + "_bytes",
		Scope:   PerNetns,
		Takes:   one(atLeast(0)),
		Default: always(212992),
		Does: "is how many bytes of packets may wait for the hardware address of one " +
			"neighbour of the device, with what they take of kernel memory; a SYN " +
			"takes " +
			"832 to 1,280 (measured); the next packet sees a change",
		Not: "does not bound the neighbours, and is no longer asked once an address is " +
			"known",
		Source: "net/core/neighbour.c __neigh_event_send (4.4-6.18); " +
			"net/ipv4/arp.c arp_tbl, net/ipv6/ndisc.c nd_tbl (SK_WMEM_MAX)",
	}, {
		Name:    name,
		Scope:   PerNetns,
		Takes:   one(atLeast(0)),
		Default: always(101),
		Does: "is unres_qlen_bytes in packets of full size, for programs that know the " +
			"older " +
			"name; a write sets the bytes",
		Not:    "is not the number of packets that wait: SYNs are smaller",
		Source: "net/core/neighbour.c proc_unres_qlen (4.4-6.18)",
	}}
}

// neighbours are the thresholds of one table, from the top: so they stay in order while they are
// written.
func neighbours(family, people string, use Use) []Knob {
	name := "net." + family + ".neigh.default.gc_thresh"
	const next = "; the next new neighbour sees a change"
	return []Knob{
		{
			Name:    name + "3",
			Scope:   InitialOnly,
			Takes:   one(atLeast(0)),
			Default: always(1024),
			Does: "is the ceiling on entries of " + people +
				" over all namespaces: at that number a new one is made only if " +
				"an old one can be thrown out" + next,
			Not: "does not bound connections, and does not bound hosts behind a " +
				"gateway; does not count permanent entries since Linux 5.0",
			Source: "net/core/neighbour.c neigh_alloc, neigh_forced_gc (4.4-6.18)",
			InUse:  use,
			Plan:   plan(1, 1<<29, "neighbour-table"),
		},
		{
			Name:    name + "2",
			Scope:   InitialOnly,
			Takes:   one(atLeast(0)),
			Default: always(512),
			After:   []string{name + "3"},
			Does: "above this many entries of " + people +
				" a new one makes the kernel throw out old ones, at most " +
				"every 5 s" + next,
			Not:    "is no ceiling",
			Source: "net/core/neighbour.c neigh_alloc (4.4-6.18)",
			Plan:   plan(1, 1<<29, "neighbour-table"),
		},
		{
			Name:    name + "1",
			Scope:   InitialOnly,
			Takes:   one(atLeast(0)),
			Default: always(128),
			After:   []string{name + "2"},
			Does: "below this many entries of " + people +
				" nothing is thrown out by age" + next,
			Not:    "is no ceiling",
			Source: "net/core/neighbour.c neigh_periodic_work (4.4-6.18)",
			Plan:   plan(1, 1<<29, "neighbour-table"),
		},
	}
}

// These are scopes that came between two kernels that were looked at.
var (
	perNetns9  = PerNetnsSince(Between(host.V(4, 4), host.V(4, 9)))
	perNetns14 = PerNetnsSince(Between(host.V(4, 12), host.V(4, 14)))
	perNetns19 = PerNetnsSince(Between(host.V(4, 14), host.V(4, 19)))
)
