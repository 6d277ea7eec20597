package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/coalesce"
)

// TestUsers puts coalesce under three real programs, and prints what each cost
// before and after: write system calls by the kernel's count, TCP segments by TCP_INFO, and
// CPU time of this process. Run it with -v to see the table. It fails if coalesce does not save
// at least a quarter of the system calls, which do not depend much on what else the machine does.
func TestUsers(t *testing.T) {
	for _, u := range []struct {
		name string
		run  func(t *testing.T, m *meter)
	}{
		{"HTTP, 16 events a response", useHTTP},
		{"Redis, 64 callers on one connection", useRedis},
		{"chat, 1000 connections", useChat},
	} {
		t.Run(u.name, func(t *testing.T) {
			var calls [2]float64
			for i, coalesced := range []bool{false, true} {
				m := &meter{coalesced: coalesced}
				u.run(t, m)
				t.Log(m)
				calls[i] = float64(m.calls) / float64(m.messages)
			}
			if calls[1] > 0.75*calls[0] {
				t.Errorf("%.3f system calls a message, %.3f without coalesce",
					calls[1], calls[0])
			}
		})
	}
}

// meter counts what a program costs.
type meter struct {
	coalesced bool
	mu        sync.Mutex
	conns     []*net.TCPConn
	totals    coalesce.Totals

	messages            int64
	calls, cpu, segs    int64
	elapsed             time.Duration
	calls0, cpu0, segs0 int64
	from                time.Time
}

// wrap is the one line that changes in each program.
func (m *meter) wrap(c net.Conn) net.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, c.(*net.TCPConn))
	if m.coalesced {
		return coalesce.New(c, coalesce.Config{Totals: &m.totals})
	}
	return c
}

func (m *meter) begin() {
	m.calls0, m.cpu0, m.segs0, m.from = writeCalls(), cpuTime(), m.segments(), time.Now()
}

// end must come before the connections are closed.
func (m *meter) end(messages int) {
	m.elapsed = time.Since(m.from)
	m.messages = int64(messages)
	m.calls, m.cpu, m.segs = writeCalls()-m.calls0, cpuTime()-m.cpu0, m.segments()-m.segs0
}

func (m *meter) segments() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		raw, err := c.SyscallConn()
		if err != nil {
			continue
		}
		raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP,
				unix.TCP_INFO); err == nil {
				n += int64(info.Segs_out)
			}
		})
	}
	return n
}

func (m *meter) String() string {
	name := "before"
	if m.coalesced {
		name = "after "
	}
	n := float64(m.messages)
	text := fmt.Sprintf(
		"%s: %d messages, %.3f system calls, %.3f segments, %.2f us CPU a message, "+
			"%.0f messages/s",
		name, m.messages, float64(m.calls)/n, float64(m.segs)/n, float64(m.cpu)/n/1000,
		n/m.elapsed.Seconds())
	if s := m.totals.Stats(); s.Calls > 0 {
		text += fmt.Sprintf(" (own count: %.3f calls)", float64(s.Calls)/n)
	}
	return text
}

// wrapped is a listener whose connections are wrapped.
type wrapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// useHTTP is a server that sends events and flushes after each, as
// server-sent events do, and a client, both through the wrapper.
func useHTTP(t *testing.T, m *meter) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const events, clients, requests = 16, 8, 250
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	})}
	go server.Serve(wrapped{l, m.wrap})
	defer server.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: clients,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return m.wrap(c), nil
		}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	m.begin()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range requests {
				fetch(t, client, l.Addr().String())
			}
		})
	}
	wg.Wait()
	m.end(clients * requests * (events + 1))
}

func fetch(t *testing.T, client *http.Client, addr string) {
	resp, err := client.Get("http://" + addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != 16*9+6 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

// redisClient shares one connection among many callers. Replies come in the
// order of the commands.
type redisClient struct {
	conn    net.Conn
	mu      sync.Mutex
	waiting chan chan string
}

func (r *redisClient) do(command []byte, reply chan string) string {
	r.mu.Lock()
	r.waiting <- reply
	_, err := r.conn.Write(command)
	r.mu.Unlock()
	if err != nil {
		return err.Error()
	}
	return <-reply
}

func (r *redisClient) read() {
	in := bufio.NewReader(r.conn)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		<-r.waiting <- line
	}
}

func useRedis(t *testing.T, m *meter) {
	addr := startRedis(t)
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	const callers, commands = 64, 1500
	r := &redisClient{conn: m.wrap(c), waiting: make(chan chan string, callers)}
	var wg, reader sync.WaitGroup
	reader.Go(r.read)
	m.begin()
	for i := range callers {
		wg.Go(func() {
			reply := make(chan string, 1)
			command := fmt.Appendf(nil,
				"*3\r\n$3\r\nSET\r\n$5\r\nkey%02d\r\n$5\r\nvalue\r\n", i)
			for range commands {
				if got := r.do(command, reply); got != "+OK\r\n" {
					t.Errorf("%q", got)
					return
				}
			}
		})
	}
	wg.Wait()
	m.end(callers * commands)
	r.conn.Close()
	reader.Wait()
}

// startRedis starts a server that dies with the test.
func startRedis(t *testing.T) string {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "",
		"--appendonly", "no", "--dir", t.TempDir())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 *
		time.Millisecond) {
		if c, err := net.Dial("tcp4", addr); err == nil {
			c.Close()
			return addr
		}
	}
	t.Fatal("redis-server does not answer")
	return ""
}

// useChat is a server that passes each message on to a thousand connections, in
// WebSocket frames. Ten members write at the same time.
func useChat(t *testing.T, m *meter) {
	const conns, members, rounds = 1000, 10, 8
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := &run{job: job{role: "sink", conns: conns, size: 64}}
	cmd, out, err := r.child(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	room := make([]net.Conn, conns)
	for i := range room {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		room[i] = m.wrap(c)
	}
	// FIN and text; 62 bytes, not masked (RFC 6455, 5.2)
	frame := append([]byte{0x81, 62}, make([]byte, 62)...)
	m.begin()
	var wg sync.WaitGroup
	for range members {
		wg.Go(func() {
			for range rounds {
				for _, c := range room {
					if _, err := c.Write(frame); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, c := range room {
		if c, ok := c.(*coalesce.Conn); ok {
			c.Flush()
		}
	}
	m.end(conns * members * rounds)
	for _, c := range room {
		c.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var f figures
	r.counts = make([]counter, 1)
	r.counts[0].Store(conns * members * rounds)
	if err := r.judge(&f, out.Bytes()); err != nil {
		t.Error(err)
	}
}
