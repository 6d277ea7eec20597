package listen

import (
	"errors"
	"fmt"
	"math"
	"net"
	"syscall"
	"time"
)

// Config says how to listen. The zero value listens as the standard library does, with the
// largest backlog that the system allows now, a reserve for lack of descriptors, and no limit.
// A Config may be copied and used again; Listen and Adopt keep a copy.
type Config struct {
	// Backlog is the limit of the accept queue, of each shard, in connections. 0 asks
	// for as much as net.core.somaxconn allows at this moment. When the kernel cuts it
	// the error is a *BacklogError.
	Backlog int

	// Shards is the number of listening sockets that share the address (SO_REUSEPORT,
	// Linux 3.9, TCP only); 0 means 1. The kernel chooses one for each connection by a
	// hash of addresses and ports, not by load. The number stays for the life of the
	// listener, for a socket that leaves the group takes its queue with it. With more
	// than one, other programs of the same user can bind the same address too, a second
	// copy of this one included.
	Shards int

	// DeferAccept keeps a connection out of the accept queue until the client has sent
	// something, or for about this long (TCP_DEFER_ACCEPT; the kernel rounds up to its
	// retransmissions: 1, 3, 7, 15, 31 s, ...; Stats has the result). A silent client
	// is accepted after it. Never use it where the server speaks first.
	DeferAccept time.Duration

	// FastOpen is how many connections may be open with data in their first segment and
	// the handshake unfinished (TCP_FASTOPEN). It needs bit 2 in net.ipv4.tcp_fastopen;
	// where that is clear the kernel would ignore it, and Listen says so.
	FastOpen int

	// MaxConnections bounds the connections that Accept has returned and that are not
	// closed yet; 0 means no bound. AtLimit says what becomes of others.
	//
	// With a bound, Accept returns a wrapper whose Close frees the place. It embeds the
	// *net.TCPConn or *net.UnixConn, which its method NetConn() net.Conn returns, so
	// all methods are there (ReadFrom and WriteTo of a Unix socket are those of package
	// io), and io.Copy makes the same system calls, sendfile(2) and splice(2), as
	// without a bound. A program that looks for the type *net.TCPConn does not find it;
	// see UserTimeout. A connection that is dropped without Close is closed, and its
	// place free, once the garbage collector has found it, as in package net; so is one
	// that was closed only inside of the wrapper.
	MaxConnections int

	// AtLimit is the policy when MaxConnections are open. Default means Wait:
	// connections stay in the accept queue, and when that is full the kernel drops
	// handshakes. (With Wait, each shard takes a second descriptor. On systems other
	// than Linux one connection is taken out of the queue and held.)
	AtLimit Policy

	// UserTimeout is how long sent data may stay unacknowledged before the kernel ends
	// a connection (TCP_USER_TIMEOUT, Linux; in milliseconds, rounded up); 0 leaves the
	// kernel's 15 to 30 minutes. Accepted connections have it from the listening
	// socket. A gRPC server sets it by its keepalive parameters, but only on a
	// *net.TCPConn: with MaxConnections set it here, to the same Timeout (20 s if not
	// given).
	UserTimeout time.Duration

	// OnOverload is the policy when a connection cannot be accepted for lack of
	// descriptors (EMFILE, ENFILE). Default means RefuseReset. RefuseReset and
	// RefuseMessage hold one descriptor in reserve: it is given up, the connection
	// accepted and refused in its place, and the reserve taken again. When another part
	// of the program is faster and gets the descriptor, Accept pauses and tries to get
	// the reserve back. Wait pauses, up to 100 ms at a time, and leaves clients
	// waiting.
	OnOverload Policy

	// Message is what RefuseMessage sends, at most MaxMessage bytes, as it is: on a
	// port that speaks TLS it is not a TLS alert. Example: "HTTP/1.1 503 Service
	// Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".
	Message []byte

	// DrainTimeout is how long after Close connections from the queues wait for
	// somebody to call Accept; then they are reset. 0 means 5 s. Negative means that
	// Close does not drain: the kernel resets what is queued.
	DrainTimeout time.Duration

	// HandshakeGrace is how long Close lets handshakes end that have begun, while the
	// kernel takes no new ones and Accept goes on as before: a round trip to most
	// clients. 0 means 20 ms, negative none. Unix sockets need none.
	HandshakeGrace time.Duration

	// BestEffort makes Listen succeed where the kernel cuts or lacks Backlog, Shards,
	// DeferAccept or FastOpen. Listener.Unmet then lists what is not as asked.
	BestEffort bool

	// Multipath asks for Multipath TCP (IPPROTO_MPTCP). Unlike in package net it is off
	// by default: each accepted connection costs more, and the kernel may not tell the
	// state of the queue (Unknown in Stats).
	Multipath bool

	// KeepAlive and KeepAliveConfig mean the same as in net.ListenConfig: zero values
	// switch keep-alive on, with 15 s, 15 s and 9 probes. On Linux they are set once,
	// on the listening socket, from which the kernel copies them; package net makes
	// four system calls for each connection.
	KeepAlive       time.Duration
	KeepAliveConfig net.KeepAliveConfig

	// Control, if not nil, is called for each socket after it is made and before it is
	// bound, as in net.ListenConfig. Close replaces a socket filter that it attached.
	Control func(network, address string, c syscall.RawConn) error

	// Warn, if not nil, gets an error that says why connections are being refused or
	// kept waiting, at most once a second. It is called on the goroutine that accepts,
	// should return soon and must not call Close.
	Warn func(error)
}

// MaxMessage is the largest Config.Message, in bytes. A new socket takes as much without blocking.
const MaxMessage = 4096

const (
	defaultDrainTimeout   = 5 * time.Second
	defaultHandshakeGrace = 20 * time.Millisecond
)

// Policy says what becomes of connections that cannot be served now.
type Policy uint8

const (
	// Default is Wait for AtLimit and RefuseReset for OnOverload.
	Default Policy = iota
	// Wait leaves them in the accept queue.
	Wait
	// RefuseReset accepts and resets them: the client sees ECONNRESET. On a Unix socket
	// it sees the end of the stream.
	RefuseReset
	// RefuseMessage accepts them, sends Config.Message and closes. So that the message
	// is not lost to a reset, what the client has sent is read and dropped: at the
	// connection limit for up to a second, and while 256 clients are waited for in this
	// way, what has arrived by then.
	RefuseMessage
)

// String gives the policy's name, such as "RefuseReset".
func (p Policy) String() string {
	names := [...]string{"Default", "Wait", "RefuseReset", "RefuseMessage"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

func (p Policy) or(other Policy) Policy {
	if p == Default {
		return other
	}
	return p
}

// complete checks the values that no system would take, and fills in what zero stands for.
func (c Config) complete() (Config, error) {
	for _, v := range []struct {
		name   string
		n, max int
	}{
		{"Backlog", c.Backlog, math.MaxInt32}, {"Shards", c.Shards, maxShards},
		{"FastOpen", c.FastOpen, math.MaxInt32},
		{"MaxConnections", c.MaxConnections, math.MaxInt32},
		{"len(Message)", len(c.Message), MaxMessage},
	} {
		if v.n < 0 || v.n > v.max {
			return c, fmt.Errorf("%s %d: out of range 0 to %d", v.name, v.n, v.max)
		}
	}
	if c.DeferAccept < 0 || c.DeferAccept > math.MaxInt32*time.Second {
		return c, fmt.Errorf("DeferAccept %v: out of range", c.DeferAccept)
	}
	if c.UserTimeout < 0 || c.UserTimeout > math.MaxInt32*time.Millisecond {
		return c, fmt.Errorf("UserTimeout %v: out of range", c.UserTimeout)
	}
	if max(c.AtLimit, c.OnOverload) > RefuseMessage {
		return c, fmt.Errorf("AtLimit %v, OnOverload %v: no such policy", c.AtLimit,
			c.OnOverload)
	}
	if max(c.AtLimit, c.OnOverload) == RefuseMessage && len(c.Message) == 0 {
		return c, errors.New("RefuseMessage without a Message")
	}
	c.Shards = max(c.Shards, 1)
	c.AtLimit, c.OnOverload = c.AtLimit.or(Wait), c.OnOverload.or(RefuseReset)
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.HandshakeGrace == 0 {
		c.HandshakeGrace = defaultHandshakeGrace
	}
	return c, nil
}

// keepAlive is what the connections of an adopted socket are set to: package net gives each
// its own defaults, whatever the socket has. It is nil when those are wanted.
func (c Config) keepAlive() *net.KeepAliveConfig {
	switch {
	case c.KeepAliveConfig.Enable:
		return &c.KeepAliveConfig
	case c.KeepAlive != 0:
		return &net.KeepAliveConfig{Enable: c.KeepAlive > 0, Idle: c.KeepAlive}
	}
	return nil
}

// maxShards is far above the number of processors of any machine; each shard costs a socket
// and a goroutine.
const maxShards = 4096
