package coalesce

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, l net.Listener) {
	t.Helper()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		done := r.TLS != nil && r.TLS.HandshakeComplete
		fmt.Fprint(w, r.Proto, " ", r.TLS != nil, " ", done)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

func fetch(t *testing.T, client *http.Client, url, want string) {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	if got, err := io.ReadAll(r.Body); string(got) != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// Request.TLS is set where there is TLS, and only there; below TLS there is HTTP/2 too.
func TestHTTP(t *testing.T) {
	cert, pool := certificate(t)
	for _, tc := range []struct {
		name, want string
		protos     []string
		listen     func(l net.Listener, cfg *tls.Config) net.Listener
	}{
		{"plain", "HTTP/1.1 false false", nil,
			func(l net.Listener, _ *tls.Config) net.Listener {
				return NewListener(l, Config{})
			}},
		{"above TLS", "HTTP/1.1 true true", nil,
			func(l net.Listener, cfg *tls.Config) net.Listener {
				return NewListener(tls.NewListener(l, cfg), Config{})
			}},
		{"below TLS", "HTTP/2.0 true true", []string{"h2"},
			func(l net.Listener, cfg *tls.Config,
			) net.Listener {
				return tls.NewListener(NewListener(l, Config{}), cfg)
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			cfg := &tls.Config{Certificates: []tls.Certificate{cert},
				NextProtos: tc.protos}
			serve(t, tc.listen(l, cfg))
			transport := &http.Transport{
				DialContext: DialContext(new(net.Dialer).DialContext,
					Config{}),
				TLSClientConfig: &tls.Config{RootCAs: pool,
					ServerName: "localhost"},
				ForceAttemptHTTP2: true,
			}
			defer transport.CloseIdleConnections()
			scheme := "https://"
			if tc.name == "plain" {
				scheme = "http://"
			}
			fetch(t, &http.Client{Transport: transport}, scheme+l.Addr().String(),
				tc.want)
		})
	}
}

// A client that does not shake hands does not hold ConnectionState forever.
func TestConnectionStateOfASilentPeer(t *testing.T) {
	a, b := pair(t)
	cert, _ := certificate(t)
	c := Wrap(tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}}),
		Config{}).(*TLSConn)
	go func() { time.Sleep(50 * time.Millisecond); b.Close() }()
	if c.ConnectionState().HandshakeComplete {
		t.Error("shaken")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read without a handshake")
	}
	c.CloseNow()
}

// What the wrapped connection does not have is said, and does not look as if it were there.
func TestOptions(t *testing.T) {
	a, _ := pair(t)
	x, y := net.Pipe()
	defer y.Close()
	socket, pipe := New(a, Config{}), New(x, Config{})
	defer socket.Close()
	defer pipe.Close()
	for name, set := range map[string]func(c *Conn) error{
		"SetLinger":    func(c *Conn) error { return c.SetLinger(5) },
		"SetNoDelay":   func(c *Conn) error { return c.SetNoDelay(true) },
		"SetKeepAlive": func(c *Conn) error { return c.SetKeepAlive(true) },
		"SetKeepAlivePeriod": func(c *Conn) error {
			return c.SetKeepAlivePeriod(time.Minute)
		},
		"SetKeepAliveConfig": func(c *Conn) error {
			return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true,
				Idle: time.Minute})
		},
		"SetReadBuffer":  func(c *Conn) error { return c.SetReadBuffer(1 << 16) },
		"SetWriteBuffer": func(c *Conn) error { return c.SetWriteBuffer(1 << 16) },
		"SyscallConn":    func(c *Conn) error { _, err := c.SyscallConn(); return err },
		"CloseRead":      (*Conn).CloseRead,
		"CloseWrite":     (*Conn).CloseWrite,
	} {
		if err := set(socket); err != nil {
			t.Error(name, err)
		}
		var op *net.OpError
		if err := set(pipe); !errors.Is(err, errors.ErrUnsupported) ||
			!errors.As(err, &op) {
			t.Error(name, "of a pipe:", err)
		}
	}
}

// Errors are those of the net package at the outside, and take one line.
func TestErrorForms(t *testing.T) {
	c, _ := stalledOver(t, "tcp", Config{WriteTimeout: 50 * time.Millisecond,
		MaxPending: 1 << 10})
	var list []error
	add := func(_ any, err error) { list = append(list, err) }
	c.SetWriteDeadline(time.Unix(1, 0))
	add(c.Write([]byte("x")))
	c.SetWriteDeadline(time.Time{})
	for c.Err() == nil {
		c.Write(make([]byte, 1000))
	}
	add(c.Write([]byte("x")))
	add(c.Write(make([]byte, 1<<20)))
	add(c.Read(make([]byte, 1)))
	add(c.ReadFrom(strings.NewReader("x")))
	add(nil, c.TryWrite([]byte("x")))
	add(nil, c.Flush())
	add(nil, c.CloseWrite())
	add(nil, c.Close())
	add(c.Write([]byte("x")))
	for i, err := range list {
		op, ok := err.(*net.OpError)
		if !ok || op.Op == "" || op.Net == "" || op.Source == nil || op.Addr == nil {
			t.Errorf("%d: %#v", i, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%d: more than a line: %q", i, err)
		}
	}
	var failed *Error
	err := list[1]
	if !errors.As(err, &failed) || !errors.Is(err, ErrStuck) || !err.(net.Error).Timeout() {
		t.Error(err)
	}
	t.Log(list[1])
}

func TestSetWriteDeadlineDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, _ := pair(t)
	c := New(a, Config{})
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(time.Hour))
	n := testing.AllocsPerRun(1000, func() {
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		c.SetWriteDeadline(time.Time{})
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A deadline that is moved holds at its last place, whatever the timer was set to before.
func TestDeadlineMoves(t *testing.T) {
	c, _ := stalledOver(t, "tcp", Config{})
	defer c.CloseNow()
	fillSocket(c)
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	c.SetWriteDeadline(time.Now().Add(400 * time.Millisecond))
	start := time.Now()
	_, err := c.Write(make([]byte, 1000))
	late := time.Since(start) - 400*time.Millisecond
	if err == nil || late < -20*time.Millisecond || late > slack {
		t.Errorf("late by %v: %v", late, err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Hour))
	go func() {
		time.Sleep(50 * time.Millisecond)
		c.SetWriteDeadline(time.Now().Add(-time.Second))
	}()
	within(t, 0, "Write", func() { c.Write(make([]byte, 1000)) })
}

// What New and Wrap return has the methods of TLS only if what they wrap has them.
func TestWrapKeepsTypesApart(t *testing.T) {
	a, _ := pair(t)
	inner, _ := tlsPair(t)
	for _, tc := range []struct {
		conn net.Conn
		want bool
	}{{Wrap(a, Config{}), false}, {Wrap(inner, Config{}), true}} {
		state, ok := tc.conn.(interface{ ConnectionState() tls.ConnectionState })
		shakes, can := tc.conn.(interface{ HandshakeContext(context.Context) error })
		if ok != tc.want || can != tc.want {
			t.Errorf("%T", tc.conn)
		}
		if ok && !state.ConnectionState().HandshakeComplete {
			t.Error("not complete")
		}
		if can && shakes.HandshakeContext(t.Context()) != nil {
			t.Error("handshake")
		}
		tc.conn.Close()
	}
}

// stateOnly has what net/http looks for on connections of other types than *tls.Conn, and no more.
type stateOnly struct {
	net.Conn
	state func() tls.ConnectionState
}

func (c stateOnly) ConnectionState() tls.ConnectionState { return c.state() }

// ConnectionState alone, which is all that net/http asks of a connection, is kept too.
func TestWrapKeepsConnectionStateAlone(t *testing.T) {
	inner, _ := tlsPair(t)
	c := Wrap(stateOnly{inner, inner.ConnectionState}, Config{})
	defer c.Close()
	state, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	if !ok || !state.ConnectionState().HandshakeComplete {
		t.Fatalf("%T has lost its state", c)
	}
	shakes := c.(interface{ HandshakeContext(context.Context) error })
	if err := shakes.HandshakeContext(t.Context()); err != nil {
		t.Error("complete, and yet", err)
	}
	x, y := net.Pipe()
	defer y.Close()
	shakes = Wrap(stateOnly{x, func() (s tls.ConnectionState) {
		return s
	}}, Config{}).(*TLSConn)
	if err := shakes.HandshakeContext(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Error("incomplete:", err)
	}
}
