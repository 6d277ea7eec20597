package bench

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

var (
	stalledConns   = flag.Int("stalled", 500, "connections of TestStalled")
	stalledWriters = flag.Int("stalledwriters", 100,
		"writers of each; fewer if they took more than a quarter of the free memory")
)

// TestStalled has many connections whose peers read nothing, with writers that do not give
// up. The buffers of all together stay within the Budget, and another connection goes on.
func TestStalled(t *testing.T) {
	limit := int64(64 << 20)
	conns, writers := *stalledConns, affordable(t, *stalledConns, *stalledWriters)
	if testing.Short() {
		conns, writers, limit = 50, 10, 1<<20
	}
	budget := coalesce.NewBudget(limit)
	list := stalledPeers(t, conns, coalesce.Config{Budget: budget, WriteTimeout: -1})
	var wg sync.WaitGroup
	for _, c := range list {
		for range writers {
			wg.Go(func() {
				for p := make([]byte, 512); ; {
					if _, err := c.Write(p); err != nil {
						return
					}
				}
			})
		}
	}
	awaitStalled(t, list)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d connections x %d writers: buffers take %.1f MiB (at most %.1f) of %d; heap "+
		"%d MiB, stacks %d MiB",
		conns, writers, mib(budget.Used()), mib(budget.Peak()), limit>>20, m.HeapAlloc>>20,
		m.StackInuse>>20)
	healthyBeside(t, budget)
	for _, c := range list {
		c.CloseNow()
	}
	wg.Wait()
	if budget.Peak() > limit || budget.Used() != 0 {
		t.Errorf("at most %d bytes, %d at the end", budget.Peak(), budget.Used())
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// affordable is how many writers of 4 KiB each connection may have.
func affordable(t *testing.T, conns, writers int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return max(1, min(writers, kib/4/4/conns))
		}
	}
	t.Fatal("no MemAvailable")
	return 0
}

// stalledPeers connects a child that never reads.
func stalledPeers(t *testing.T, n int, cfg coalesce.Config) []*coalesce.Conn {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil ||
		files.Cur < uint64(n)+100 {
		t.Skipf("%d descriptors are not enough (ulimit -n): %v", files.Cur, err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd, _, err := (&run{job: job{role: "stall", conns: n}}).child(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	list := make([]*coalesce.Conn, n)
	for i := range list {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		list[i] = coalesce.New(c, cfg)
	}
	return list
}

// awaitStalled waits until no connection has accepted anything for half a second.
func awaitStalled(t *testing.T, list []*coalesce.Conn) {
	t.Helper()
	last, since := int64(-1), time.Now()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 *
		time.Millisecond) {
		sum := int64(0)
		for _, c := range list {
			sum += c.Stats().Accepted
		}
		if sum != last {
			last, since = sum, time.Now()
		}
		if time.Since(since) > 500*time.Millisecond {
			return
		}
	}
	t.Error("the peers take data")
}

// healthyBeside sends a million bytes over one more connection that shares the budget.
func healthyBeside(t *testing.T, budget *coalesce.Budget) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan int)
	go func() {
		n := 0
		if c, err := l.Accept(); err == nil {
			for s := bufio.NewScanner(c); s.Scan(); {
				n++
			}
			c.Close()
		}
		got <- n
	}()
	inner, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := coalesce.New(inner, coalesce.Config{Budget: budget})
	from := time.Now()
	for range 10_000 {
		fmt.Fprintf(c, "%099d\n", 0)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n := <-got; n != 10_000 {
		t.Errorf("%d messages received of 10000", n)
	}
	t.Logf("a healthy connection beside: 10000 messages in %v",
		time.Since(from).Round(time.Millisecond))
}
