package coalesce

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a TCP connection over loopback.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	a, b, err := dialPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func dialPair() (a, b *net.TCPConn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	y, err := l.Accept()
	if err != nil {
		x.Close()
		return nil, nil, err
	}
	return x.(*net.TCPConn), y.(*net.TCPConn), nil
}

// unixPair returns the two ends of a connection over a Unix socket.
func unixPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	x, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*net.UnixConn), y.(*net.UnixConn)
}

// plain hides the type of a connection, so that attempts that do not block
// are not possible.
type plain struct{ net.Conn }

func TestEverythingArrives(t *testing.T) {
	for _, n := range []int{1, 100, 4095, 4096, 4097, 32767, 32768, 65536, 1 << 20} {
		a, b := pair(t)
		c := New(a, Config{})
		var want bytes.Buffer
		got := make(chan []byte)
		go func() { all, _ := io.ReadAll(b); got <- all }()
		for i := range 5 {
			p := bytes.Repeat([]byte{byte('a' + i)}, n)
			want.Write(p)
			if m, err := c.Write(p); m != n || err != nil {
				t.Fatalf("write of %d: %d, %v", n, m, err)
			}
			clear(p) // nothing may be kept
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(<-got, want.Bytes()) {
			t.Errorf("%d bytes: received something else", n)
		}
		if s := c.Stats(); s.Accepted != int64(5*n) || s.Sent != s.Accepted ||
			s.Messages != 5 {
			t.Errorf("%+v", s)
		}
	}
}

func TestZeroWrite(t *testing.T) {
	a, _ := pair(t)
	c := New(a, Config{})
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	if s := c.Stats(); s.Messages != 0 || s.Calls != 0 {
		t.Errorf("%+v", s)
	}
	c.Close()
	if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestWriteAfterClose(t *testing.T) {
	a, _ := pair(t)
	c := New(a, Config{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error("second Close:", err)
	}
	for _, p := range [][]byte{{1}, make([]byte, 1<<20)} {
		if n, err := c.Write(p); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Error(n, err)
		}
	}
	if err := c.TryWrite([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err := c.Flush(); err != nil {
		t.Error("nothing is pending:", err)
	}
	if err := c.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestDeadlineInThePast(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	defer c.Close()
	c.SetWriteDeadline(time.Unix(1, 0))
	for _, n := range []int{1, 1 << 20} {
		if n, err := c.Write(make([]byte, n)); n != 0 ||
			!errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	}
	c.SetWriteDeadline(time.Time{})
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if _, err := io.ReadFull(b, got); err != nil || got[0] != 'x' {
		t.Error(got, err)
	}
}

// fillUp writes until the peer's and all own buffers are full, so that a Write of
// n bytes waits.
func fillUp(t testing.TB, c *Conn, n int) (accepted int64) {
	t.Helper()
	p := make([]byte, n)
	for {
		c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if m, err := c.Write(p); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) || m != 0 {
				t.Fatal(m, err)
			}
			break
		}
		accepted += int64(n)
	}
	c.SetWriteDeadline(time.Time{})
	for { // writers in line wait until half is free; fill that too
		if err := c.TryWrite(p); err != nil {
			return accepted
		}
		accepted += int64(n)
	}
}

func TestPeerStopsReading(t *testing.T) {
	a, b := pair(t)
	a.SetWriteBuffer(8 << 10)
	b.SetReadBuffer(8 << 10)
	c := New(a, Config{CloseTimeout: 20 * time.Millisecond})
	accepted := fillUp(t, c, 1000)
	if n := c.Buffered(); n > 256<<10+64<<10 {
		t.Errorf("%d bytes pending", n)
	}
	c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Write(make([]byte, 1000)); n != 0 ||
		!errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("blocked write:", n, err)
	}
	if n, err := c.Write(make([]byte, 100_000)); n != 0 ||
		!errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("blocked large write:", n, err)
	}
	if err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("flush:", err)
	}
	if c.Err() != nil {
		t.Error("a caller's deadline is no failure:", c.Err())
	}
	c.SetWriteDeadline(time.Time{})
	unblocked := make(chan error)
	go func() { _, err := c.Write(make([]byte, 1000)); unblocked <- err }()
	awaitBlocked(t, c)
	if err := c.Close(); !errors.Is(err, ErrLingering) {
		t.Error("a Write waits, so Close does not:", err)
	}
	err := c.CloseContext(context.Background())
	var failed *Error
	if !errors.As(err, &failed) || failed.Accepted != accepted || failed.Unsent() == 0 ||
		!failed.Timeout() {
		t.Error("close:", err)
	}
	if err := <-unblocked; !errors.Is(err, net.ErrClosed) {
		t.Error("write during close:", err)
	}
	if got, _ := io.Copy(io.Discard, b); got != failed.Sent {
		t.Errorf("received %d, said to be sent %d", got, failed.Sent)
	}
}

// awaitBlocked waits until a writer is in line.
func awaitBlocked(t testing.TB, c *Conn) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		time.Sleep(time.Millisecond)
		c.mu.Lock()
		blocked := c.gate&gateQueue != 0
		c.mu.Unlock()
		if blocked {
			return
		}
	}
	t.Fatal("nobody blocked")
}

func TestStuckPeer(t *testing.T) {
	a, b := pair(t)
	a.SetWriteBuffer(8 << 10)
	b.SetReadBuffer(8 << 10)
	c := New(a, Config{WriteTimeout: 50 * time.Millisecond})
	defer c.Close()
	reader := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); reader <- err }()
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1000))
	}
	if !errors.Is(err, ErrStuck) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("write:", err)
	}
	if err := <-reader; !errors.Is(err, ErrStuck) {
		t.Error("read:", err)
	}
	if err := c.Flush(); !errors.Is(err, ErrStuck) {
		t.Error("flush:", err)
	}
	if err := c.Close(); !errors.Is(err, ErrStuck) ||
		!strings.Contains(err.Error(), "not sent") {
		t.Error("close:", err)
	}
}

func TestPeerResets(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	defer c.Close()
	// A connection that waits for the peer in the middle of a flush.
	a.SetWriteBuffer(8 << 10)
	b.SetReadBuffer(8 << 10)
	fillUp(t, c, 1000)
	b.SetLinger(0)
	b.Close()
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1000))
	}
	var failed *Error
	if !errors.As(err, &failed) || failed.Unsent() <= 0 {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &failed) {
		t.Error("read:", err)
	}
	if err := c.Close(); !errors.As(err, &failed) {
		t.Error("close:", err)
	}
	if c.Buffered() == 0 {
		t.Error("unsent bytes are forgotten")
	}
}

// Input that has arrived before sending failed must not be lost.
func TestInputSurvivesFailure(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{WriteTimeout: 20 * time.Millisecond})
	defer c.Close()
	a.SetWriteBuffer(8 << 10)
	b.SetReadBuffer(8 << 10)
	b.Write([]byte("too large"))
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1000))
	}
	got, err := io.ReadAll(c)
	if string(got) != "too large" || !errors.Is(err, ErrStuck) {
		t.Errorf("%q %v", got, err)
	}
}

func TestHalfClose(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	defer c.Close()
	c.Hold() // leave it pending
	c.Write([]byte("last"))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if string(got) != "last" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	b.Write([]byte("reply"))
	b.Close()
	if got, err := io.ReadAll(c); string(got) != "reply" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	x, y := net.Pipe()
	defer y.Close()
	if err := New(x, Config{}).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	x.Close()
}

func TestPeerHalfCloses(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{})
	b.CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	c.Write([]byte("still here"))
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(b); string(got) != "still here" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

func TestCloseNow(t *testing.T) {
	a, b := pair(t)
	c := New(a, Config{Policy: Manual})
	c.Write([]byte("never sent"))
	err := c.CloseNow()
	var failed *Error
	if !errors.As(err, &failed) || failed.Unsent() != 10 {
		t.Error(err)
	}
	if got, _ := io.ReadAll(b); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestCloseNowCutsClose(t *testing.T) {
	a, b := pair(t)
	a.SetWriteBuffer(8 << 10)
	b.SetReadBuffer(8 << 10)
	c := New(a, Config{CloseTimeout: -1, WriteTimeout: -1})
	fillUp(t, c, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Close(); err == nil {
			t.Error("nothing reported")
		}
	})
	for !func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.closing != nil }() {
		time.Sleep(time.Millisecond)
	}
	if err := c.CloseNow(); err == nil {
		t.Error("nothing reported")
	}
	wg.Wait()
}
