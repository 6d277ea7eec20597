package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// shutdownTime bounds the end of a server with nothing in flight, HandshakeGrace included.
const shutdownTime = 100 * time.Millisecond

// web is an HTTP server.
type web struct {
	*http.Server
	ended chan error // what Serve returned
	idle  chan bool  // a connection has become idle
}

func serveHTTP(l net.Listener) web {
	w := web{ended: make(chan error, 1), idle: make(chan bool, 1000)}
	w.Server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "served")
		}),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				w.idle <- true
			}
		},
	}
	go func() { w.ended <- w.Serve(l) }()
	return w
}

// occupy takes places with connections that are idle: their server has done with the request.
func (w web) occupy(t *testing.T, l *Listener, n int) {
	t.Helper()
	for range n {
		if err := request(dial(t, l)); err != nil {
			t.Fatal(err)
		}
		<-w.idle
	}
}

// request sends one on a connection that it leaves open.
func request(c net.Conn) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != "HTTP/1.1 200" {
		return fmt.Errorf("answer %q", answer)
	}
	return nil
}

// Connections that only Shutdown would close hold all places, and clients wait: Shutdown
// does not. Those who wait are reset at once, as they are with package net and with
// x/net/netutil.LimitListener.
func TestShutdownAtLimit(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for waiting := range 3 {
			l := open(t, Config{MaxConnections: 2, Shards: shards}, "tcp",
				"127.0.0.1:0")
			server := serveHTTP(l)
			server.occupy(t, l, 2)
			answers := make(chan error)
			for range waiting {
				c := dial(t, l)
				go func() { answers <- request(c) }()
			}
			await(t, "clients wait", func() bool {
				st := l.Stats()
				return st.Queued+int(st.Accepted)-2 == waiting
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			began := time.Now()
			err := server.Shutdown(ctx)
			took := time.Since(began)
			cancel()
			if serve := <-server.ended; err != nil || took > shutdownTime ||
				serve != http.ErrServerClosed {
				t.Errorf("%d shards, %d clients wait: Shutdown %v after %v, "+
					"Serve %v", shards, waiting, err, took, serve)
			}
			for range waiting {
				if err := <-answers; !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%d shards: a waiting client sees %v", shards, err)
				}
			}
			if st := l.Stats(); st.RefusedClose != uint64(waiting) || st.Open != 0 {
				t.Errorf("%d shards, %d clients wait: %+v", shards, waiting, st)
			}
		}
	}
}

// A successor that holds the same sockets serves those whom there was no place for.
func TestShutdownAtLimitLeavesClientsToSuccessor(t *testing.T) {
	for _, shards := range []int{1, 3} {
		l := open(t, Config{MaxConnections: 1, Shards: shards}, "tcp", "127.0.0.1:0")
		server := serveHTTP(l)
		server.occupy(t, l, 1)
		answers := make(chan error)
		for range 5 {
			c := dial(t, l)
			go func() { answers <- request(c) }()
		}
		await(t, "clients wait", func() bool {
			st := l.Stats()
			return st.Queued+int(st.Accepted)-1 == 5
		})
		heir := succeed(t, l, Config{})
		began := time.Now()
		if err := server.Shutdown(t.Context()); err != nil ||
			time.Since(began) > shutdownTime {
			t.Errorf("%d shards: Shutdown %v after %v", shards, err, time.Since(began))
		}
		<-server.ended
		next := serveHTTP(heir)
		for range 5 {
			if err := <-answers; err != nil {
				t.Errorf("%d shards: a waiting client sees %v", shards, err)
			}
		}
		next.Close()
		<-next.ended
	}
}

// succeed makes a Listener of duplicates of another's sockets.
func succeed(t *testing.T, l *Listener, c Config) *Listener {
	t.Helper()
	files, err := l.Files()
	if err != nil {
		t.Fatal(err)
	}
	var sockets []net.Listener
	for _, f := range files {
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, ln)
	}
	heir, err := c.Adopt(sockets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { heir.Close() })
	return heir
}

// Whatever the order in which clients come, callers accept, places are given back and the
// listener is closed: every caller returns soon after Close, every client is served or
// reset, no place is lost.
func FuzzCloseAtLimit(f *testing.F) {
	for seed := range uint64(24) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		c := Config{
			Shards:         1 + rnd.IntN(3),
			MaxConnections: 1 + rnd.IntN(4),
			HandshakeGrace: time.Millisecond,
		}
		l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held := make(chan net.Conn, 100)
		var callers, clients sync.WaitGroup
		accept := func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				held <- c
			}
		}
		for range 1 + rnd.IntN(3) {
			callers.Go(accept)
		}
		if rnd.IntN(2) == 0 {
			callers.Go(func() { l.Serve(func(c net.Conn) { held <- c }) })
		}
		var served, reset atomic.Int64
		for range rnd.IntN(12) {
			clients.Go(func() { atLimit(t, l, &served, &reset) })
		}
		early := rnd.IntN(4)
		for range early { // places that come back before the end, if there is somebody
			time.Sleep(time.Duration(rnd.IntN(1000)) * time.Microsecond)
			select {
			case c := <-held:
				c.Write([]byte("x"))
				c.Close()
			default:
			}
		}
		var heir *Listener
		if rnd.IntN(3) == 0 {
			heir = succeed(t, l, Config{})
		}
		began := time.Now()
		l.Close()
		callers.Wait() // while all others keep their places
		if took := time.Since(began); took > time.Second {
			t.Errorf("%+v: Close and all callers took %v", c, took)
		}
		if heir != nil {
			go heir.Serve(func(c net.Conn) { c.Write([]byte("x")); c.Close() })
			defer heir.Close()
		}
		close(held)
		for c := range held {
			c.Write([]byte("x"))
			c.Close()
		}
		clients.Wait()
		if st := l.Stats(); st.Open != 0 || heir != nil && reset.Load() > 0 {
			t.Errorf("%+v: served %d, reset %d, %+v", c, served.Load(), reset.Load(),
				st)
		}
	})
}

// atLimit is a client. One that comes too late is refused.
func atLimit(t *testing.T, l *Listener, served, reset *atomic.Int64) {
	c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	switch _, err := io.ReadFull(c, make([]byte, 1)); {
	case err == nil:
		served.Add(1)
	case errors.Is(err, syscall.ECONNRESET):
		reset.Add(1)
	default:
		t.Errorf("a client sees %v", err)
	}
}
