package listen_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxconn/maxconn/listen"
)

// sized is an HTTP server for that many connections: a descriptor for each and for what
// else the program opens, an accept queue for those who come at once, and an answer for
// those who come too late.
func sized(t *testing.T, connections int) *listen.Listener {
	t.Helper()
	const others = 400 // logs, databases, this test's clients
	if _, err := listen.RaiseFiles(uint64(connections + others)); err != nil {
		t.Skip(err) // a real server ends here: the error says what stops it
	}
	return open(t, listen.Config{
		Backlog:        4 * connections,
		MaxConnections: connections,
		AtLimit:        listen.RefuseMessage,
		OnOverload:     listen.RefuseMessage,
		Message:        []byte(busy),
		Warn:           func(err error) { t.Log(err) },
	})
}

// crowd is what came of clients who all came at once.
type crowd struct {
	atOnce         int64 // requests that the server had to hold at the same time
	served, told   int
	failed         []error
	slowestRefusal time.Duration
}

func (c crowd) String() string {
	return fmt.Sprintf(
		"%d requests held at once; %d served, %d told to come later, the last of them "+
			"after %v, %d failed",
		c.atOnce, c.served, c.told, c.slowestRefusal.Round(time.Millisecond), len(c.failed))
}

// visit has n clients ask at once. The server answers nobody until each client is with it
// or has been refused.
func visit(t *testing.T, ln net.Listener, n int) (c crowd) {
	t.Helper()
	settled, release := make(chan struct{}, n), make(chan struct{})
	var held atomic.Int64
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		held.Add(1)
		settled <- struct{}{}
		<-release
		io.WriteString(w, "served")
	})}
	go server.Serve(ln)
	defer server.Close()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			began := time.Now()
			status, err := ask(ln.Addr().String())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				c.failed = append(c.failed, err)
				settled <- struct{}{}
			case status == http.StatusOK:
				c.served++
			default:
				c.told++
				c.slowestRefusal = max(c.slowestRefusal, time.Since(began))
				settled <- struct{}{}
			}
		})
	}
	for range n {
		<-settled
	}
	close(release)
	all.Wait()
	c.atOnce = held.Load()
	return c
}

// ask is one client with a connection of its own.
func ask(addr string) (status int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c,
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return 0, err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	return r.StatusCode, nil
}

// Three hundred clients come at once to a server that is meant for a hundred. Before:
// package net lets them all in, and the server has to hold three hundred requests. After:
// it holds a hundred, and the others know at once.
func TestHTTP(t *testing.T) {
	const clients, room = 300, 100
	ln := sized(t, room)
	before := visit(t, plain(t), clients)
	t.Log("before: ", before)
	if before.atOnce != clients || before.served != clients {
		t.Errorf("before: %v %v", before, before.failed)
	}
	after := visit(t, ln, clients)
	t.Log("after:  ", after)
	if after.atOnce != room || after.served != room || after.told != clients-room {
		t.Errorf("after: %v %v", after, after.failed)
	}
	if st := ln.Stats(); st.RefusedLimit != clients-room {
		t.Errorf("after: %+v", st)
	}
}
