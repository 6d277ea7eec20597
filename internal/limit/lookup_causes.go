package limit

import (
	"cmp"
	"maps"
	"slices"

	"github.com/maxconn/maxconn/internal/knob"
)

// OtherCause is what an errno or a message means apart from the limits of the catalogue.
type OtherCause struct {
	Errno string `json:"errno"`          // ECONNREFUSED, "" where a message tells it
	Call  string `json:"call,omitempty"` // which call returns it, "" where several do
	// Program is whose own bound it is, "" where the kernel says it.
	Program string `json:"program,omitempty"`
	// Texts are messages that mean it, in the form of Sign.Text; without any, and with no
	// Given, it is what the errno means.
	Texts []string `json:"texts,omitempty"`
	// Given has to be told by the text for the errno to mean this.
	Given  given  `json:"-"`
	Means  string `json:"means"`
	Look   string `json:"look"`   // what to look at next
	Source string `json:"source"` // kernel file and function, or the program
	// Limits are those, by ID, that may be behind it all the same; Far says that they are the
	// other end's.
	Limits []string `json:"limits"`
	Far    bool     `json:"-"`
}

// OtherCauses lists all of them.
func OtherCauses() []OtherCause {
	return slices.Concat(ended(), unanswered(), elsewhere(), messagesElsewhere(),
		ofPrograms())
}

// ended are the errors of connections that the other end refused or ended.
func ended() []OtherCause {
	return []OtherCause{
		{
			Errno: "ECONNREFUSED", Call: "connect",
			Means: "an RST or an ICMP \"port unreachable\" came back: nothing " +
				"listens on that address and port (the server is down, or " +
				"listens on another address only, such as 127.0.0.1), or a " +
				"firewall answers in its place. Full accept and SYN queues do " +
				"not refuse: they drop in silence, and connect() times out",
			Look:   "ss -ltn on the server, then its firewall rules (REJECT)",
			Source: "net/ipv4/tcp_input.c tcp_reset; net/ipv4/icmp.c icmp_err_convert",
		}, {
			Errno: "ECONNRESET",
			Means: "an RST came for an established connection: mostly the other end " +
				"closed it with data unread or with SO_LINGER 0, or no longer " +
				"knew it (a restart, or a firewall, NAT or load balancer that " +
				"forgot an idle connection). A listener that is closed with " +
				"connections in its queue resets them; so does a full accept " +
				"queue with tcp_abort_on_overflow=1, and what is above " +
				"tcp_max_orphans, tcp_mem or tcp_max_tw_buckets",
			Look: "on the other end: nstat -az TcpOutRsts TcpExtTCPAbortOnClose " +
				"TcpExtTCPAbortOnData TcpExtTCPAbortOnMemory; maxconn check " +
				"--for 10s",
			Source: "net/ipv4/tcp_input.c tcp_reset; net/ipv4/tcp.c tcp_close; " +
				"net/ipv4/tcp_timer.c tcp_out_of_resources",
			Limits: []string{string(AcceptQueue), string(Orphans), string(TCPMemory),
				string(TimeWaitBuckets)},
			Far: true,
		}, {
			Errno:  "ECONNABORTED",
			Means:  "the socket was destroyed from outside",
			Look:   "who calls ss -K (SOCK_DESTROY) on this host",
			Source: "net/ipv4/tcp_diag.c tcp_diag_destroy",
		},
	}
}

// unanswered are the errors of networks, of permissions, and those that are none.
func unanswered() []OtherCause {
	return []OtherCause{
		{
			Errno: "ETIMEDOUT", Call: "read write recv send",
			Means: "an established connection got no answer any more: data was " +
				"sent again until tcp_retries2, or keepalive probes stayed " +
				"unanswered. The other host or the path to it is gone",
			Look: "ss -tnoi dst ADDRESS: retransmissions and timers of the " +
				"connections that are left",
			Source: "net/ipv4/tcp_timer.c tcp_write_timeout, tcp_keepalive_timer",
		}, {
			Errno: "EHOSTUNREACH", Call: "connect",
			Means: "the next hop answered neither ARP nor neighbour discovery " +
				"(host down, wrong network), or a router or firewall sent ICMP " +
				"\"host unreachable\" or \"administratively prohibited\"",
			Look: "ip route get ADDRESS; ip neigh",
			Source: "net/ipv4/route.c ipv4_link_failure; net/ipv4/icmp.c " +
				"icmp_err_convert",
		}, {
			Errno: "ENETUNREACH", Call: "connect",
			Means: "this network namespace has no route to that address: no " +
				"default route, or an IPv6 address on a host without IPv6; or " +
				"a router sent ICMP \"network unreachable\"",
			Look: "ip route get ADDRESS",
			Source: "net/ipv4/tcp_ipv4.c tcp_v4_connect; net/ipv4/icmp.c " +
				"icmp_err_convert",
		}, {
			Errno: "EACCES", Call: "bind",
			Means: "a port below net.ipv4.ip_unprivileged_port_start (" +
				knob.Usual("net.ipv4.ip_unprivileged_port_start") +
				" by default) takes CAP_NET_BIND_SERVICE",
			Look: "sysctl net.ipv4.ip_unprivileged_port_start; " +
				"AmbientCapabilities= of the unit",
			Source: "net/ipv4/af_inet.c inet_bind",
		}, {
			Errno: "EINPROGRESS", Call: "connect",
			Means:  "no error: connect() on a non-blocking socket goes on",
			Look:   "SO_ERROR of the socket, once it is writable",
			Source: "net/ipv4/af_inet.c inet_stream_connect",
		}, {
			Errno: "EAGAIN", Call: "accept read write recv send",
			Means: "no error: on a non-blocking socket nothing waits to be taken " +
				"or read, or the send buffer has no room yet",
			Look: "the program's event loop: wait for the socket, then try again",
			Source: "net/ipv4/inet_connection_sock.c inet_csk_accept; " +
				"net/ipv4/tcp.c tcp_recvmsg, tcp_sendmsg",
		}, {
			Errno: "EAGAIN", Call: "connect",
			Means: "a Unix socket, not TCP: the backlog of its listener (listen() " +
				"argument, net.core.somaxconn) is full",
			Look:   "ss -lx: Recv-Q against Send-Q",
			Source: "net/unix/af_unix.c unix_stream_connect",
		},
	}
}

// FindOtherCauses finds what an error may mean apart from the limits that FindSigns finds.
func FindOtherCauses(text string) []OtherCause {
	_, causes := find(text)
	return causes
}

// Errnos lists the names of all errnos that can be explained, sorted.
func Errnos() []string {
	names := map[string]bool{}
	for _, l := range Catalogue() {
		for _, s := range l.Signs {
			names[s.Errno] = true
		}
	}
	for _, c := range OtherCauses() {
		names[c.Errno] = true
	}
	delete(names, "")
	return slices.SortedFunc(maps.Keys(names), cmp.Compare[string])
}
