package coalesce

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// Wrap is New for programs that want a net.Conn. Its result has ConnectionState, from which
// net/http sets Request.TLS, and HandshakeContext if c has ConnectionState, as a *tls.Conn does.
// It is a *Conn, or a *TLSConn with a *Conn inside.
//
// net/http speaks HTTP/2 only on connections of type *tls.Conn. To have both, wrap below TLS:
// give a Listener to http.Server.ServeTLS, and DialContext to http.Transport.
func Wrap(c net.Conn, cfg Config) net.Conn {
	if _, ok := c.(stater); ok {
		return &TLSConn{New(c, cfg)}
	}
	return New(c, cfg)
}

// stater is what net/http looks for (net/http/server.go, connectionStater).
type stater interface{ ConnectionState() tls.ConnectionState }

type handshaker interface {
	HandshakeContext(ctx context.Context) error
}

// TLSConn is a Conn above TLS, with what is asked of TLS connections. Wrap makes it.
type TLSConn struct{ *Conn }

// handshakeTime bounds the handshake that ConnectionState waits for, as http.Server does by
// itself for connections of type *tls.Conn only.
const handshakeTime = 10 * time.Second

// ConnectionState is that of the wrapped connection, after the handshake, which it makes if that
// has not been done. A handshake that fails or takes more than ten seconds makes Read and Write
// fail.
func (c *TLSConn) ConnectionState() tls.ConnectionState {
	in := c.inner.(stater)
	state := in.ConnectionState()
	if state.HandshakeComplete {
		return state
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	c.HandshakeContext(ctx)
	return in.ConnectionState()
}

// HandshakeContext is that of the wrapped connection. If that has none and its handshake is not
// complete, it fails with errors.ErrUnsupported.
func (c *TLSConn) HandshakeContext(ctx context.Context) error {
	if in, ok := c.inner.(handshaker); ok {
		return in.HandshakeContext(ctx)
	}
	if c.inner.(stater).ConnectionState().HandshakeComplete {
		return nil
	}
	return c.opError("handshake", errUnsupported)
}

// Handshake is HandshakeContext without an end.
func (c *TLSConn) Handshake() error { return c.HandshakeContext(context.Background()) }

// Listener wraps each connection that the listener inside accepts. Make one with NewListener.
type Listener struct {
	net.Listener
	cfg Config
}

// NewListener returns a Listener. It goes below TLS, since net/http knows TLS connections by
// their type: http.Server.ServeTLS, tls.NewListener and gRPC's credentials put TLS above it.
func NewListener(l net.Listener, cfg Config) *Listener { return &Listener{l, cfg} }

// Accept waits for the next connection, and wraps it as Wrap does.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Wrap(c, l.cfg), nil
}

// DialFunc is the form of net.Dialer.DialContext, which http.Transport, go-redis and websocket
// dialers take in its place.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// DialContext returns a function that wraps each connection that dial makes.
func DialContext(dial DialFunc, cfg Config) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return Wrap(c, cfg), nil
	}
}
