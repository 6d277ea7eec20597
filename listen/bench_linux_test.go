package listen

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// target is one way of accepting: Accept in one goroutine, or Serve.
type target struct {
	name string
	make func(b *testing.B) (ln net.Listener, serve func(func(net.Conn)))
}

// loop is what net/http does.
func loop(ln net.Listener) func(func(net.Conn)) {
	return func(handle func(net.Conn)) {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}
}

func targets() []target {
	ours := func(c Config, merged bool) func(*testing.B) (net.Listener, func(func(net.Conn))) {
		return func(b *testing.B) (net.Listener, func(func(net.Conn))) {
			c.Backlog = 4096
			l := open(b, c, "tcp4", "127.0.0.1:0")
			if merged {
				return l, loop(l)
			}
			return l, func(handle func(net.Conn)) { l.Serve(handle) }
		}
	}
	plain := func(multipath bool) func(*testing.B) (net.Listener, func(func(net.Conn))) {
		return func(b *testing.B) (net.Listener, func(func(net.Conn))) {
			var lc net.ListenConfig
			lc.SetMultipathTCP(multipath)
			ln, err := lc.Listen(b.Context(), "tcp4", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { ln.Close() })
			return ln, loop(ln)
		}
	}
	return []target{
		{"net", plain(false)},
		{"net-again", plain(false)}, // how far a ratio is to be trusted
		{"net-mptcp", plain(true)},
		{"accept", ours(Config{}, true)},
		{"accept-no-reserve", ours(Config{OnOverload: Wait}, true)},
		{"accept-limit", ours(Config{MaxConnections: 1 << 20}, true)},
		{"accept-4-shards", ours(Config{Shards: 4}, true)},
		{"serve", ours(Config{}, false)},
		{"serve-4-shards", ours(Config{Shards: 4}, false)},
	}
}

// sample is what one connection took.
type sample struct{ wall, cpu time.Duration }

// sideBySide measures all targets in every iteration, in changing order, so that what else
// the machine does hits all alike. It reports of each the quickest quarter, for what else
// the machine does can only add, and its ratio to package net: of the time passed, and of
// this process's CPU time ("cpu-ns").
func sideBySide(b *testing.B, measure func(*testing.B, target) sample) {
	b.Helper()
	all := targets()
	wall, cpu := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range b.N {
		for _, i := range rand.Perm(len(all)) {
			s := measure(b, all[i])
			wall[all[i].name] = append(wall[all[i].name], s.wall)
			cpu[all[i].name] = append(cpu[all[i].name], s.cpu)
		}
	}
	quick := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/4])
	}
	for _, v := range all {
		w, c := quick(wall[v.name]), quick(cpu[v.name])
		b.ReportMetric(w, v.name+"-ns")
		b.ReportMetric(w/quick(wall["net"]), v.name+"/net")
		b.ReportMetric(c, v.name+"-cpu-ns")
		b.ReportMetric(c/quick(cpu["net"]), v.name+"-cpu/net")
	}
}

// BenchmarkQueued is the time to take one connection out of a queue that is full, and
// nothing else: 1,000 are connected, then accepted, then closed, and only accepting is
// timed.
func BenchmarkQueued(b *testing.B) {
	const batch = 1000
	if _, err := RaiseFiles(2*batch + 100); err != nil {
		b.Skip(err)
	}
	sideBySide(b, func(b *testing.B, v target) sample { return takeQueued(b, v, batch) })
}

func takeQueued(b *testing.B, v target, k int) sample {
	b.Helper()
	ln, serve := v.make(b)
	clients := connect(b, ln.Addr(), k)
	conns := make([]net.Conn, k)
	var n atomic.Int64
	full, ended := make(chan bool), make(chan bool)
	began, used := time.Now(), cpu()
	go func() {
		defer close(ended)
		serve(func(c net.Conn) {
			i := n.Add(1)
			conns[i-1] = c
			if i == int64(k) {
				close(full)
			}
		})
	}()
	<-full
	s := sample{wall: time.Since(began) / time.Duration(k),
		cpu: (cpu() - used) / time.Duration(k)}
	ln.Close()
	<-ended
	for i, c := range conns {
		c.(interface{ SetLinger(int) error }).SetLinger(0)
		c.Close()
		unix.Close(clients[i])
	}
	return s
}

// connect makes client sockets with little work in this process.
func connect(b *testing.B, addr net.Addr, n int) []int {
	b.Helper()
	sa := &unix.SockaddrInet4{Port: addr.(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	fds := make([]int, 0, n)
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.Connect(fd, sa); err != nil {
			b.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// BenchmarkFlood is a server that accepts and closes, and two client processes that keep 64
// connections each under way: as many as the machine can do. (One client that does not wait
// is slower the faster the server is, for the server sleeps more often and has to be
// woken.)
func BenchmarkFlood(b *testing.B) {
	const connections, clients = 8000, 2
	sideBySide(b, func(b *testing.B, v target) sample {
		ln, serve := v.make(b)
		var n atomic.Int64
		begun, done, ended := make(chan bool), make(chan bool), make(chan bool)
		go func() {
			defer close(ended)
			serve(func(c net.Conn) {
				c.Close()
				switch n.Add(1) {
				case connections / 10:
					close(begun)
				case connections/10 + connections:
					close(done)
				}
			})
		}()
		var stop []func()
		for range clients {
			stop = append(stop, startFlood(b, ln.Addr().String()))
		}
		<-begun
		start, used := time.Now(), cpu()
		<-done
		s := sample{wall: time.Since(start) / connections,
			cpu: (cpu() - used) / connections}
		for _, f := range stop {
			f()
		}
		ln.Close()
		<-ended
		return s
	})
}

// startFlood starts one client process.
func startFlood(b *testing.B, addr string) (stop func()) {
	cmd := role(b, "flood "+addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		in.Close()
		cmd.Wait()
	}
}
