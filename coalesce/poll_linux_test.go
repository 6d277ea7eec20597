package coalesce

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forEver makes a Read that polls go on until the test ends it.
const forEver = time.Hour

// polling returns a Conn with a Read that polls forever, and what that Read returns.
func polling(t *testing.T) (c *Conn, peer net.Conn, ended chan error) {
	t.Helper()
	if runtime.NumCPU() == 1 || runtime.GOMAXPROCS(0) == 1 {
		t.Skip("one processor")
	}
	a, b := pair(t)
	c = New(a, Config{BusyPoll: forEver})
	t.Cleanup(func() { c.CloseNow() })
	ended = make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
		ended <- err
	}()
	for !c.polls() {
		runtime.Gosched()
	}
	return c, b, ended
}

func (c *Conn) polls() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flag&polled != 0
}

func awaitEnd(t *testing.T, ended chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("Read does not return")
		return nil
	}
}

// Whatever ends a Read that sleeps ends one that polls.
func TestBusyPollEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(c *Conn, peer net.Conn)
		want error
	}{
		"closed":     {func(c *Conn, _ net.Conn) { c.Close() }, net.ErrClosed},
		"closed now": {func(c *Conn, _ net.Conn) { c.CloseNow() }, net.ErrClosed},
		"deadline": {func(c *Conn, _ net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
		}, os.ErrDeadlineExceeded},
		"end": {func(_ *Conn, peer net.Conn) { peer.Close() }, nil},
		"reset": {func(_ *Conn, peer net.Conn) {
			peer.(*net.TCPConn).SetLinger(0)
			peer.Close()
		}, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			c, peer, ended := polling(t)
			tc.end(c, peer)
			if err := awaitEnd(t, ended); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			} else if op := new(net.OpError); err != nil && !errors.As(err, &op) {
				t.Errorf("%#v is no *net.OpError", err)
			}
		})
	}
}

// What is written while a Read polls is sent, also when a second Read waits, and by Close.
func TestBusyPollSends(t *testing.T) {
	c, peer, ended := polling(t)
	second := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		second <- err
	}()
	buf := make([]byte, 5)
	for range 1000 {
		c.Write([]byte("hello"))
		peer.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(peer, buf); err != nil || string(buf) != "hello" {
			t.Fatal(string(buf), err)
		}
	}
	c.Write(buf)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, buf) {
		t.Error(string(got), err)
	}
	awaitEnd(t, ended)
	awaitEnd(t, second)
}

// A Read polls only after traffic, for as long as the Config says, and never on one processor.
func TestBusyPollBound(t *testing.T) {
	if runtime.NumCPU() == 1 {
		t.Skip("one processor")
	}
	a, b := pair(t)
	const span = 2 * time.Millisecond
	c := New(a, Config{BusyPoll: span, MaxDelay: forEver}) // so that no yield counts as slow
	defer c.Close()
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"new", func() {}, true},
		{"polled in vain", func() {}, false},
		{"wrote", func() { c.Write([]byte("x")); c.Flush() }, true},
		{"read", func() { b.Write([]byte("x")); c.Read(make([]byte, 1)) }, true},
		{"one processor", func() {
			n := runtime.GOMAXPROCS(1)
			t.Cleanup(func() { runtime.GOMAXPROCS(n) })
			c.Write([]byte("x"))
			c.Flush()
		}, false},
	} {
		step.do()
		yields.until.Store(0)
		polls.until.Store(0)
		polled := c.polls()
		from := clock()
		_, _, done := c.busyPoll(make([]byte, 1))
		took := time.Duration(clock() - from)
		// the machine is busy
		forbidden := polls.until.Load() != 0 || yields.until.Load() != 0
		if done || step.want && took < span && !forbidden ||
			!step.want && c.polls() != polled ||
			step.want && !c.polls() {
			t.Errorf("%s: read %v after %v", step.name, done, took)
		}
	}
}

// Echoes through a Conn that polls, plain and below TLS, with many callers.
func TestBusyPollEcho(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a, b := pair(t)
		own, far := net.Conn(New(a, Config{BusyPoll: time.Millisecond})), net.Conn(b)
		if secure {
			cert, _ := certificate(t)
			own = tls.Client(own, &tls.Config{InsecureSkipVerify: true})
			far = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}})
		}
		go io.Copy(far, struct{ io.Reader }{far})
		var writers sync.WaitGroup
		const callers, messages = 8, 200
		back := make(chan struct{}, callers)
		for range callers {
			writers.Go(func() {
				for range messages {
					if _, err := own.Write([]byte("8 bytes.")); err != nil {
						t.Error(err)
						return
					}
					<-back
				}
			})
		}
		buf := make([]byte, 8)
		for range callers * messages {
			if _, err := io.ReadFull(own, buf); err != nil ||
				string(buf) != "8 bytes." {
				t.Fatal(string(buf), err)
			}
			back <- struct{}{}
		}
		writers.Wait()
		own.Close()
	}
}
