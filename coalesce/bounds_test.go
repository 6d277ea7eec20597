package coalesce

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slack is what a busy machine may add to a bound. A hang is longer. An emulated machine is
// slower by a factor that COALESCE_TEST_SLOWER gives.
var slack = func() time.Duration {
	factor, _ := strconv.Atoi(os.Getenv("COALESCE_TEST_SLOWER"))
	return time.Duration(max(factor, 1)) * 700 * time.Millisecond
}()

// within fails when a call takes longer than it may.
func within(t testing.TB, bound time.Duration, what string, call func()) {
	t.Helper()
	start := time.Now()
	call()
	if took := time.Since(start); took > bound+bound/10+slack {
		t.Errorf("%s took %v, may take %v", what, took, bound)
	}
}

// stalledOver is a Conn whose peer reads nothing until the test says so.
func stalledOver(t testing.TB, over string, cfg Config) (c *Conn, peer net.Conn) {
	t.Helper()
	switch over {
	case "tls":
		inner, peer := tlsPair(t)
		shrink(inner.NetConn(), peer.NetConn())
		return New(inner, cfg), peer
	case "plain":
		a, b := pair(t)
		shrink(a, b)
		return New(plain{a}, cfg), b
	default:
		a, b := connectedOver(t, over)
		shrink(a, b)
		return New(a, cfg), b
	}
}

// shrink makes a stalled peer felt soon.
func shrink(a, b net.Conn) {
	if tcp, ok := a.(*net.TCPConn); ok {
		tcp.SetWriteBuffer(16 << 10)
		b.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
}

var kindsOfConn = []string{"tcp", "unix", "plain", "tls"}

// TryWrite never waits for the peer, on any connection and in any state; Write does not
// where it should fail or disconnect instead.
func TestTryWriteNeverWaits(t *testing.T) {
	used := func() *Budget { b := NewBudget(1 << 20); b.used.Store(1 << 20); return b }
	for _, over := range kindsOfConn {
		for name, cfg := range map[string]Config{
			"auto": {}, "immediate": {Policy: Immediate},
			"disconnect": {OnFull: Disconnect},
			"fail":       {OnFull: Fail}, "readdriven": {ReadDriven: true},
			"budget": {Budget: used()},
			"small":  {BufferSize: 1 << 10, MaxPending: 1 << 10},
		} {
			t.Run(over+" "+name, func(t *testing.T) {
				cfg.WriteTimeout = 3 * time.Second
				c, peer := stalledOver(t, over, cfg)
				defer c.CloseNow()
				testTryWrite(t, c, peer, cfg)
			})
		}
	}
}

func testTryWrite(t *testing.T, c *Conn, peer net.Conn, cfg Config) {
	p := make([]byte, 900)
	for range 2 * singlesToInline { // the connection learns to write at once
		if err := c.TryWrite(p); err != nil {
			break
		}
		io.ReadFull(peer, make([]byte, len(p)))
		time.Sleep(time.Millisecond)
	}
	c.mu.Lock()
	c.flag |= inline // even where it has not
	c.mu.Unlock()
	until := time.Now().Add(time.Second)
	for err := error(nil); err == nil && time.Now().Before(until); {
		within(t, 0, "TryWrite", func() { err = c.TryWrite(p) })
		if cfg.OnFull != Block {
			within(t, 0, "Write", func() { c.Write(p) })
		}
	}
}

// A large Write ends, whatever should happen when there is no room.
func TestLargeWriteIsBounded(t *testing.T) {
	limit := time.Second
	for _, over := range kindsOfConn {
		for _, policy := range []Overflow{Fail, Disconnect} {
			t.Run(over, func(t *testing.T) {
				t.Parallel()
				c, _ := stalledOver(t, over,
					Config{OnFull: policy, WriteTimeout: limit})
				defer c.CloseNow()
				var err error
				start := time.Now()
				for err == nil {
					start = time.Now()
					_, err = c.Write(make([]byte, 40<<10))
				}
				if took := time.Since(start); took > limit+limit/10+slack {
					t.Errorf("Write took %v", took)
				}
				if !errors.Is(err, ErrStuck) {
					t.Error(err)
				}
			})
		}
	}
}

// A peer is stuck when it has taken nothing for WriteTimeout, not before, and a tenth later
// at most.
func TestWriteTimeoutIsExact(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time: not for -short")
	}
	const limit = 2 * time.Second
	for _, over := range kindsOfConn {
		for name, size := range map[string]int{"small": 1000, "large": 40 << 10} {
			t.Run(over+" "+name, func(t *testing.T) {
				t.Parallel()
				cfg := Config{WriteTimeout: limit, BufferSize: 64 << 10,
					OnFull: Disconnect}
				if name == "small" {
					cfg.OnFull = Block
				}
				c, peer := stalledOver(t, over, cfg)
				defer c.CloseNow()
				testExact(t, c, peer, size, limit)
			})
		}
	}
}

func testExact(t *testing.T, c *Conn, peer net.Conn, size int, limit time.Duration) {
	stop, last := make(chan struct{}), make(chan time.Time)
	go func() { last <- lastProgress(c.inner, stop) }()
	go func() { // for a while it takes some now and then, with pauses of less than the limit
		for range 4 {
			time.Sleep(limit * 6 / 10)
			io.CopyN(io.Discard, peer, 300<<10)
		}
	}()
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, size))
	}
	failed := time.Now()
	close(stop)
	if !errors.Is(err, ErrStuck) {
		t.Error(err)
	}
	idle := failed.Sub(<-last)
	// there a piece that is taken in part looks like one that is not
	_, hidden := c.inner.(plain)
	if !hidden && idle < limit-2*looking10ms {
		t.Errorf("%v after the peer has taken something, the limit is %v", idle, limit)
	}
	if idle > limit+limit/10+slack/2 {
		t.Errorf("%v after the peer has taken something, the limit is %v", idle, limit)
	}
	t.Logf("%v after the peer has taken something", idle)
}

const looking10ms = 10 * time.Millisecond

// lastProgress is when the peer of inner took something for the last time.
func lastProgress(inner net.Conn, stop chan struct{}) (last time.Time) {
	if p, ok := inner.(plain); ok {
		inner = p.Conn // the test may look where the package cannot
	}
	var mark progress
	for {
		if now, _ := progressOf(inner); now != mark {
			mark, last = now, time.Now()
		}
		select {
		case <-stop:
			return last
		case <-time.After(looking10ms):
		}
	}
}

// Close returns within CloseTimeout while a copy waits for a source that is idle.
func TestCloseDuringIdleCopy(t *testing.T) {
	for _, from := range []string{"tcp", "unix", "plain"} {
		for _, to := range kindsOfConn {
			t.Run(from+" to "+to, func(t *testing.T) {
				source, _ := connectedOver(t, from)
				c, _ := stalledOver(t, to, Config{CloseTimeout: time.Minute})
				done := make(chan struct{})
				go func() { io.Copy(c, source); close(done) }()
				go func() { io.CopyN(io.Discard, c, 1) }()
				// until the copy waits, or not yet
				time.Sleep(20 * time.Millisecond)
				within(t, 0, "Write", func() { c.Write([]byte("x")) })
				within(t, 0, "Flush", func() { c.Flush() })
				within(t, 0, "Close", func() { c.Close() })
				source.Close()
				<-done
			})
		}
	}
}

// A peer that takes nothing does not hold up Close, and many of them not each in its turn.
func TestCloseDoesNotWaitForStalledPeers(t *testing.T) {
	for _, over := range kindsOfConn {
		t.Run(over, func(t *testing.T) {
			var list []*Conn
			for range 10 {
				c, _ := stalledOver(t, over, Config{CloseTimeout: time.Minute})
				fillSocket(c)
				list = append(list, c)
			}
			within(t, patience, "closing them all", func() {
				for _, c := range list {
					err := c.Close()
					var failed *Error
					var op *net.OpError
					if !errors.Is(err, ErrLingering) ||
						!errors.As(err, &failed) ||
						failed.Unsent() == 0 || !errors.As(err, &op) {
						t.Error(err)
					}
				}
			})
			for _, c := range list {
				within(t, 0, "CloseNow", func() { c.CloseNow() })
			}
		})
	}
}

// fillSocket leaves bytes pending on a connection whose peer reads nothing.
func fillSocket(c *Conn) {
	for full := 0; full < 5; time.Sleep(10 * time.Millisecond) {
		full++
		for c.TryWrite(make([]byte, 1000)) == nil {
			full = 0
		}
	}
}

// Close waits for a peer that reads slowly, and all of it arrives; one that pauses for longer
// gets it too.
func TestCloseDeliversToSlowPeers(t *testing.T) {
	for _, over := range kindsOfConn {
		for name, pause := range map[string]time.Duration{"slow": 0,
			"pauses": 2 * patience} {
			t.Run(over+" "+name, func(t *testing.T) {
				t.Parallel()
				c, peer := stalledOver(t, over,
					Config{CloseTimeout: 30 * time.Second})
				fillSocket(c)
				want := c.Stats().Accepted
				r := readSlowly(peer, 20_000, pause, 20*time.Millisecond)
				err := c.Close()
				// Where the socket is hidden, a slow Write looks like one
				// of which nothing is taken.
				hidden := over == "plain" && errors.Is(err, ErrLingering)
				if pause == 0 && err != nil && !hidden && !r.stood() {
					t.Error("Close:", err)
				}
				if pause != 0 && !errors.Is(err, ErrLingering) {
					t.Error("Close:", err)
				}
				if err := c.CloseContext(context.Background()); err != nil {
					t.Error("CloseContext:", err)
				}
				if n := <-r.got; n != want {
					t.Errorf("%d of %d bytes arrived", n, want)
				}
			})
		}
	}
}

// slowReader is a peer that reads a little at a time.
type slowReader struct {
	got     chan int64   // all that it has read, at the end
	longest atomic.Int64 // nanoseconds between two reads
}

func readSlowly(peer io.Reader, each int64, first, between time.Duration) *slowReader {
	r := &slowReader{got: make(chan int64, 1)}
	go func() {
		time.Sleep(first)
		total, last := int64(0), time.Now()
		for {
			n, err := io.CopyN(io.Discard, peer, each)
			total += n
			r.longest.Store(max(r.longest.Load(), int64(time.Since(last))))
			if err != nil {
				r.got <- total
				return
			}
			last = time.Now()
			time.Sleep(between)
		}
	}()
	return r
}

// stood reports whether the machine was so busy that the peer looked like one that takes nothing.
func (r *slowReader) stood() bool { return r.longest.Load() > int64(patience/4) }

// (*tls.Conn).Close sets a write deadline that has passed; what is pending below still arrives.
func TestCloseBelowTLSDelivers(t *testing.T) {
	a, b := pair(t)
	shrink(a, b)
	cert, pool := certificate(t)
	c := New(a, Config{CloseTimeout: 30 * time.Second})
	server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
	client := tls.Client(b, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	r := readSlowly(client, 5_000, 0, 5*time.Millisecond)
	const want = 200_000
	for range want / 1000 {
		if _, err := server.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Close(); err != nil && !(errors.Is(err, ErrLingering) && r.stood()) {
		t.Error(err)
	}
	if n := <-r.got; n != want {
		t.Errorf("%d of %d bytes arrived", n, want)
	}
}

// Close ends other calls, as that of any connection does, and waits for none of them.
func TestCloseEndsOtherCalls(t *testing.T) {
	for _, over := range kindsOfConn {
		t.Run(over, func(t *testing.T) {
			c, _ := stalledOver(t, over, Config{CloseTimeout: time.Second})
			var calls sync.WaitGroup
			calls.Go(func() { c.Read(make([]byte, 1)) })
			fillSocket(c)
			calls.Go(func() { c.Write(make([]byte, 1000)) })
			calls.Go(func() { c.Write(make([]byte, 1<<20)) })
			calls.Go(func() {
				c.ReadFrom(strings.NewReader(strings.Repeat("x", 1<<20)))
			})
			calls.Go(func() { io.Copy(c, fileWith(t, strings.Repeat("x", 1<<20))) })
			awaitBlocked(t, c)
			within(t, 0, "Close", func() { c.Close() })
			within(t, 0, "Read", func() {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err,
					net.ErrClosed) {
					t.Error("Read:", err)
				}
			})
			within(t, time.Second, "the others", calls.Wait)
			within(t, time.Second, "CloseContext", func() {
				c.CloseContext(context.Background())
			})
		})
	}
}

// After an expired write deadline Close does not wait.
func TestCloseAfterExpiredDeadline(t *testing.T) {
	for _, over := range kindsOfConn {
		t.Run(over, func(t *testing.T) {
			c, _ := stalledOver(t, over, Config{CloseTimeout: 20 * time.Second})
			c.SetWriteDeadline(time.Now().Add(400 * time.Millisecond))
			for err := error(nil); err == nil; {
				_, err = c.Write(make([]byte, 1000))
			}
			start := time.Now()
			c.Close()
			if took := time.Since(start); took > max(patience/2, slack-patience) {
				t.Errorf("Close took %v", took)
			}
			c.CloseNow()
		})
	}
}

func TestCloseContextGivesUp(t *testing.T) {
	c, _ := stalledOver(t, "tcp", Config{CloseTimeout: time.Minute})
	fillSocket(c)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	within(t, 0, "CloseContext", func() {
		err := c.CloseContext(ctx)
		var failed *Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) ||
			failed.Unsent() == 0 {
			t.Error(err)
		}
	})
}

// With SetLinger(0) the kernel drops what it has at Close, so what is pending here is dropped too.
func TestCloseAfterLingerZero(t *testing.T) {
	c, peer := stalledOver(t, "tcp", Config{CloseTimeout: time.Minute})
	fillSocket(c)
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Close(); !errors.Is(err, errDropped) {
		t.Error(err)
	}
	if took := time.Since(start); took > max(patience/2, slack-patience) {
		t.Errorf("Close took %v", took)
	}
	if _, err := io.Copy(io.Discard, peer); err == nil {
		t.Error("no reset")
	}
}

// When a deadline passes in CloseWrite, a second one sends the end.
func TestCloseWriteAgain(t *testing.T) {
	for _, over := range []string{"tcp", "unix", "tls"} {
		t.Run(over, func(t *testing.T) {
			c, peer := stalledOver(t, over, Config{})
			defer c.CloseNow()
			fillSocket(c)
			want := c.Stats().Accepted
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			within(t, 50*time.Millisecond, "CloseWrite", func() {
				if err := c.CloseWrite(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("CloseWrite:", err)
				}
			})
			if _, err := c.Write([]byte("x")); err == nil {
				t.Error("written after CloseWrite")
			}
			c.SetWriteDeadline(time.Time{})
			got := make(chan int64)
			go func() { n, _ := io.Copy(io.Discard, peer); got <- n }()
			if err := c.CloseWrite(); err != nil {
				t.Error("CloseWrite again:", err)
			}
			if n := <-got; n != want {
				t.Errorf("%d of %d bytes before the end", n, want)
			}
			if err := c.CloseWrite(); !errors.Is(err, net.ErrClosed) {
				t.Error("CloseWrite after all:", err)
			}
		})
	}
}
