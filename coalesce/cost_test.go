package coalesce

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// discard reads b until the end.
func discard(b net.Conn) { go io.Copy(io.Discard, b) }

// Writing allocates nothing in the steady state, in whatever way it goes.
func TestWriteDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	small, large := make([]byte, 64), make([]byte, 64<<10)
	for name, tc := range map[string]struct {
		cfg   Config
		write func(c *Conn)
	}{
		"small":     {Config{}, func(c *Conn) { c.Write(small) }},
		"flushed":   {Config{}, func(c *Conn) { c.Write(small); c.Flush() }},
		"large":     {Config{}, func(c *Conn) { c.Write(large) }},
		"mixed":     {Config{}, func(c *Conn) { c.Write(small); c.Write(large) }},
		"immediate": {Config{Policy: Immediate}, func(c *Conn) { c.Write(small) }},
		"now":       {Config{}, func(c *Conn) { c.WriteNow(small) }},
		"totals":    {Config{Totals: &Totals{}}, func(c *Conn) { c.Write(small) }},
		"budget":    {Config{Budget: NewBudget(1 << 20)}, func(c *Conn) { c.Write(small) }},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			discard(b)
			c := New(a, tc.cfg)
			defer c.Close()
			for range 100 {
				tc.write(c) // fills the pools
			}
			if n := testing.AllocsPerRun(5000, func() { tc.write(c) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// An idle connection holds no buffer and no goroutine, and itself takes less
// than 300 bytes.
func TestIdleCost(t *testing.T) {
	a, b := pair(t)
	discard(b)
	c := New(a, Config{})
	defer c.Close()
	c.Write([]byte("hello"))
	c.Flush()
	awaitIdle(t, c)
	if c.work != nil || c.fill != nil {
		t.Error("an idle connection holds a buffer")
	}
	if size := unsafe.Sizeof(Conn{}); size > 288 {
		t.Errorf("a Conn takes %d bytes", size)
	}
}

// awaitIdle waits until the flusher has ended.
func awaitIdle(t testing.TB, c *Conn) {
	t.Helper()
	f := newWaiter()
	f.quiet = true
	c.mu.Lock()
	if c.work == nil {
		c.mu.Unlock()
		return
	}
	if err := c.await(context.Background(), f); err != nil {
		t.Fatal(err)
	}
	for { // the flusher lets waiters go just before it rests
		c.mu.Lock()
		idle := c.work == nil
		c.mu.Unlock()
		if idle {
			return
		}
		runtime.Gosched()
	}
}

// Many idle connections, measured: heap and goroutines.
func TestIdleHeap(t *testing.T) {
	const n = 10_000
	var inner net.TCPConn
	before := heap()
	goroutines := runtime.NumGoroutine()
	list := make([]*Conn, n)
	for i := range list {
		list[i] = New(&inner, Config{})
	}
	per := float64(heap()-before-n*8) / n
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d goroutines", more)
	}
	t.Logf("%.0f bytes for each idle connection", per)
	if per >= 300 && !raceEnabled {
		t.Errorf("%.0f bytes", per)
	}
	runtime.KeepAlive(list)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many peers that read nothing: the buffers of all stay within the Budget,
// and writers that find it used up wait for their own peer only.
func TestBudgetBoundsStalledPeers(t *testing.T) {
	conns, writers := 300, 20
	if testing.Short() || raceEnabled {
		conns, writers = 40, 10
	}
	budget := NewBudget(1 << 20)
	var wg sync.WaitGroup
	var list []*Conn
	for range conns {
		a, b := pair(t)
		a.SetWriteBuffer(4 << 10)
		b.SetReadBuffer(4 << 10)
		c := New(a, Config{Budget: budget, WriteTimeout: -1,
			CloseTimeout: time.Millisecond})
		list = append(list, c)
		for range writers {
			wg.Go(func() {
				p := make([]byte, 500)
				for {
					if _, err := c.Write(p); err != nil {
						return
					}
				}
			})
		}
	}
	// One healthy connection among them goes on, whatever the others hold.
	a, b := pair(t)
	c := New(a, Config{Budget: budget})
	got := make(chan int64)
	go func() { n, _ := io.Copy(io.Discard, b); got <- n }()
	for _, l := range list {
		awaitBlocked(t, l)
	}
	for range 10_000 {
		if _, err := c.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != 1_000_000 {
		t.Errorf("received %d", n)
	}
	for _, l := range list {
		l.CloseNow()
	}
	wg.Wait()
	t.Logf("%d connections, %d writers: at most %d bytes of %d",
		conns, conns*writers, budget.Peak(), 1<<20)
	if budget.Peak() > 1<<20 || budget.Used() != 0 {
		t.Errorf("peak %d, used at the end %d", budget.Peak(), budget.Used())
	}
}
