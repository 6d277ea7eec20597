//go:build linux

package lab

import (
	"net/netip"
	"time"
)

// Group names sockets (or plain descriptors) that one actor holds together. It is
// valid for that actor until closed.
type Group int

// Opened is what came of opening sockets. The kernel's refusals are in it, as the
// experiment's result.
type Opened struct {
	Group     Group            `json:"group"`
	Count     int              `json:"count"`     // sockets in the group
	Attempted int              `json:"attempted"` // less than asked when time ran out
	Errors    map[string]int   `json:"errors"`    // errno name ("EADDRNOTAVAIL") -> how often
	Local     []netip.AddrPort `json:"local"`     // local addresses of the first 64
}

// ListenSpec describes one listening TCP socket. SO_REUSEADDR is set, as servers
// do.
type ListenSpec struct {
	Addr      netip.AddrPort `json:"addr"`    // port 0: the kernel chooses
	Backlog   int            `json:"backlog"` // as given to listen(2)
	ReusePort bool           `json:"reuse_port"`
	V6Only    bool           `json:"v6_only"` // IPv6 addresses only
}

// ConnectSpec describes TCP connections, made one after the other.
type ConnectSpec struct {
	To netip.AddrPort `json:"to"`
	N  int            `json:"n"` // 0 means 1
	// From is bound before connecting when it is valid; port 0 leaves the port to
	// bind(2), or to connect(2) with NoPort.
	From      netip.AddrPort `json:"from"`
	NoPort    bool           `json:"no_port"` // IP_BIND_ADDRESS_NO_PORT, Linux 4.2
	ReuseAddr bool           `json:"reuse_addr"`
	// NonBlocking keeps sockets whose handshake is still under way; otherwise each
	// connect waits, and one that the deadline ends is closed and counted as
	// EINPROGRESS.
	NonBlocking bool          `json:"non_blocking"`
	Within      time.Duration `json:"within"` // for all of them; 0 means 10 s, at most 1 min
}

// BindSpec describes sockets that are bound and nothing more.
type BindSpec struct {
	Addr      netip.AddrPort `json:"addr"` // port 0: the kernel chooses
	N         int            `json:"n"`    // 0 means 1
	ReuseAddr bool           `json:"reuse_addr"`
}

// AcceptSpec describes how many connections to take from a listener.
type AcceptSpec struct {
	Listener Group         `json:"listener"`
	N        int           `json:"n"`      // 0 means 1
	Within   time.Duration `json:"within"` // 0 means 10 s, at most 1 min
}

// CloseSpec says how to close sockets of a group, the oldest first.
type CloseSpec struct {
	N     int  `json:"n"`     // 0 means all
	Reset bool `json:"reset"` // RST instead of FIN (SO_LINGER 0): no TIME_WAIT on either side
}

// SYNSpec describes handshakes that are never finished: SYN segments from
// 198.18.0.0/15 (RFC 2544), to which the answers vanish on lo.
type SYNSpec struct {
	To netip.AddrPort `json:"to"` // IPv4
	N  int            `json:"n"`  // 0 means 1
	// sources are numbered from here, to continue an earlier call
	First int `json:"first"`
}

// Queue is what a listener's accept queue holds and may hold, in connections, as
// getsockopt(TCP_INFO) says (net/ipv4/tcp.c tcp_get_info). The queue takes Limit+1.
type Queue struct {
	Used  int `json:"used"`
	Limit int `json:"limit"` // min(backlog, somaxconn)
}

// Output is what a command run in the lab left behind.
type Output struct {
	Stdout, Stderr []byte
	Code           int // exit status; 128+n after signal n
}

const (
	defaultWithin = 10 * time.Second
	maxWithin     = time.Minute
	maxCount      = 1 << 20 // of anything, in one verb
	maxLocal      = 64      // addresses told back
)

func within(d time.Duration) time.Duration {
	if d <= 0 {
		return defaultWithin
	}
	return min(d, maxWithin)
}

func count(n int) int { return min(max(n, 1), maxCount) }
