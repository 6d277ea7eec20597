package knob

import "github.com/maxconn/maxconn/internal/host"

// listening are settings of the queues of listeners, and of the handshake.
var listening = []Knob{
	{
		Name:    "net.core.somaxconn",
		Scope:   PerNetns,
		Takes:   one(atLeast(0)),
		Default: changed(128, host.Came(5, 4), 4096),
		Does: "caps the backlog argument of listen() at the time of the call, and so the " +
			"SYN queue as well as the accept queue",
		Not: "does not change a listener that exists, does not raise a smaller backlog " +
			"argument",
		Source: "net/socket.c __sys_listen_socket; include/net/inet_connection_sock.h " +
			"inet_csk_reqsk_queue_is_full; 19f92a030ca6 (5.4)",
		Plan: plan(1, mostInt, "accept-queue", "syn-queue"),
	},
	{
		Name:    "net.ipv4.tcp_syncookies",
		Scope:   PerNetnsSince(Between(host.V(4, 4), host.V(4, 9))),
		Takes:   one(oneByte),
		Default: always(1),
		Does: "1: a SYN that meets a full SYN queue is answered with a cookie and takes " +
			"no place; 0: it is dropped; 2: every SYN is answered with a cookie and " +
			"the SYN queue is not used; the next SYN sees a change",
		Not: "does not enlarge the accept queue; does not keep window scaling and SACK " +
			"without timestamps; a SYN-ACK with a cookie is not sent again, and " +
			"TCP_DEFER_ACCEPT is ignored",
		Source: "net/ipv4/tcp_input.c tcp_conn_request, tcp_syn_flood_action " +
			"(4.4-6.18)",
		SafeInPods: host.V(1, 4),
		Plan:       plan(1, 1, "syn-queue"),
	},
	{
		Name:  "net.ipv4.tcp_max_syn_backlog",
		Scope: PerNetnsSince(Since(4, 11)),
		Takes: one(anyInt),
		Default: Default{
			On: synBacklog,
			Words: "a 128th of the connection hash table (a 256th before Linux " +
				"5.4), 128 at least,",
		},
		Does: "with tcp_syncookies=0 only: a listener takes SYNs of peers that the " +
			"kernel has no metrics of while it has at most value - value/4 half-open " +
			"connections (16 gives 13 places, 128 gives 97); the next SYN sees a " +
			"change",
		Not: "does nothing while tcp_syncookies is 1 or 2; is not the size of the SYN " +
			"queue since Linux 4.4; does not raise the accept queue",
		Source: "net/ipv4/tcp_input.c tcp_conn_request; ef547f2ac16b (4.4)",
		Plan:   plan(1, mostInt, "syn-queue"),
	},
	{
		Name:  "backlog argument of listen()",
		Also:  []string{"listen.backlog", "tcp-backlog"},
		Field: "listener#limit",
		After: []string{"net.core.somaxconn"},
		Does: "is the queue limit, up to somaxconn; listen() called again on the same " +
			"socket changes it at once and keeps the queue",
		Source: "net/ipv4/af_inet.c inet_listen",
		Plan:   plan(1, mostInt, "accept-queue", "syn-queue"),
	},
	{
		Name:    "net.ipv4.tcp_abort_on_overflow",
		Scope:   PerNetnsSince(Between(host.V(4, 14), host.V(4, 19))),
		Takes:   one(oneByte),
		Default: always(0),
		Does: "answers the last ACK of a handshake with RST when the accept queue is " +
			"full, so the client learns at once",
		Not: "does not act on SYNs, which are dropped in silence all the same; does not " +
			"enlarge the queue",
		Source: "net/ipv4/tcp_minisocks.c tcp_check_req; " +
			"Documentation/networking/ip-sysctl.rst",
		Never: "it resets clients that a short burst would have let in",
	},
	{
		Name:    "net.ipv4.tcp_migrate_req",
		Since:   Since(5, 14),
		Scope:   PerNetns,
		Takes:   one(between(0, 1)),
		Default: always(0),
		Does: "moves the queued connections of a closed SO_REUSEPORT member to another " +
			"member instead of resetting them",
		Source: "net/core/sock_reuseport.c reuseport_migrate_sock; f9ac779f881c (5.14)",
	},
	{
		Name:    "net.ipv4.tcp_synack_retries",
		Scope:   PerNetnsSince(Between(host.V(4, 4), host.V(4, 9))),
		Takes:   one(oneByte),
		Default: always(5),
		Does: "how often a SYN-ACK is sent again: 5 keeps a half-open connection for 63 " +
			"s; when the queue is more than half full the kernel gives up old ones " +
			"earlier, down to 2 retries",
		Not: "does not enlarge the queue; a lower value frees places sooner and cuts off " +
			"clients that lose packets",
		Source: "net/ipv4/inet_connection_sock.c reqsk_timer_handler; " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name:    "net.ipv4.tcp_syn_retries",
		Scope:   PerNetnsSince(Between(host.V(4, 4), host.V(4, 9))),
		Takes:   one(between(1, 127)),
		Default: always(6),
		Does: "on the client: how often connect() sends its SYN again before it fails " +
			"with ETIMEDOUT",
		Not: "does nothing on the server that drops the SYN",
		Source: "net/ipv4/tcp_timer.c tcp_write_timeout; " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name:    "net.ipv4.tcp_syn_linear_timeouts",
		Since:   Since(6, 5),
		Scope:   PerNetns,
		Takes:   one(between(0, 127)),
		Default: always(4),
		Does: "on the client: this many repetitions of the SYN come 1 s apart before the " +
			"gap doubles, and so does the first after them: with 4, a SYN is sent " +
			"again after 1, 2, 3, 4, 5, 7 and 11 s (measured)",
		Not: "does nothing on the server that drops the SYN",
		Source: "net/ipv4/tcp_timer.c tcp_retransmit_timer (6.5); " +
			"Documentation/networking/ip-sysctl.rst",
	},
	{
		Name: "TCP_DEFER_ACCEPT",
		Does: "keeps a connection in the SYN queue until the client has sent data, so it " +
			"needs a larger backlog; the seconds are rounded up to a number of " +
			"SYN-ACKs",
		Not:    "does not hold back connections that came in by a SYN cookie",
		Source: "net/ipv4/tcp_minisocks.c tcp_check_req",
	},
}
