package listen

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// server is a child process that is short of descriptors.
type server struct {
	t   *testing.T
	in  io.Writer
	out *json.Decoder
}

func startFlooded(t *testing.T, kind string) *server {
	cmd := role(t, "flooded "+kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &server{t, in, json.NewDecoder(bufio.NewReader(out))}
}

func (s *server) ask() (r report) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.out.Decode(&r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func raiseForClients(t *testing.T, n uint64) {
	t.Helper()
	if _, err := RaiseFiles(n); err != nil {
		t.Skip(err)
	}
}

// A thousand clients against a hundred descriptors: each is answered or refused, the server
// does not spin while it is full, and serves again when there is room. The control is
// package net.
func TestOutOfDescriptors(t *testing.T) {
	clients := 1000
	if testing.Short() {
		clients = 250 // a virtual machine is ten times slower
	}
	raiseForClients(t, 2000)
	for _, kind := range []string{"reset", "message", "net"} {
		t.Run(kind, func(t *testing.T) {
			s := startFlooded(t, kind)
			patience := 20 * time.Second
			if kind == "net" {
				patience = time.Second
			}
			before := s.ask()
			o := storm(t, before.Addr, clients, patience)
			full := s.ask()
			closeAll := sync.OnceFunc(func() {
				for _, c := range o.conns {
					c.Close()
				}
			})
			defer closeAll()
			t.Logf("served %d, reset %d, told %d, nothing in %v %d, other %d; the "+
				"slowest answer after %v; server CPU %v",
				o.served, o.reset, o.told, patience, o.nothing, o.other, o.slowest,
				full.CPU-before.CPU)
			if o.served < fileLimit/2 || o.served > fileLimit || o.other > 0 {
				t.Errorf("served %d of %d descriptors, %d failed otherwise",
					o.served, fileLimit, o.other)
			}
			if kind == "net" {
				if o.nothing < clients-2*fileLimit {
					t.Errorf("control: only %d hang", o.nothing)
				}
				return
			}
			if o.nothing > 0 || kind == "reset" && o.told > 0 ||
				kind == "message" && o.told < clients-2*fileLimit ||
				full.Stats.RefusedFiles != uint64(o.reset+o.told) {
				t.Errorf("%d without an answer, %d reset, %d told, %+v", o.nothing,
					o.reset, o.told, full.Stats)
			}
			const window = 500 * time.Millisecond
			time.Sleep(window) // full and no client: what CPU that takes is to be seen
			idle := s.ask()
			if used := idle.CPU - full.CPU; used > window/2 {
				t.Errorf("used %v of CPU in %v with nothing to do", used, window)
			} else {
				t.Logf("full and no client: %v of CPU in %v", used, window)
			}
			closeAll()
			began := time.Now()
			await(t, "the server serves again", func() bool {
				what, c, _ := askOnce(before.Addr, patience)
				if c != nil {
					c.Close()
				}
				return what == "served"
			})
			t.Logf("served again after %v", time.Since(began))
		})
	}
}

// exhaust lowers the limit of this process and fills its table; free gives one descriptor back.
func exhaust(t *testing.T) (free func()) {
	t.Helper()
	before, err := limits()
	if err != nil {
		t.Fatal(err)
	}
	if err := set(Files{Soft: 128, Hard: before.Hard}); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	free = func() {
		unix.Close(fds[len(fds)-1])
		fds = fds[:len(fds)-1]
	}
	t.Cleanup(func() {
		for len(fds) > 0 {
			free()
		}
		set(before)
	})
	return free
}

// Another part of the program takes the reserve's place: Accept pauses instead of spinning,
// and once a descriptor is free again the reserve is back.
func TestReserveLost(t *testing.T) {
	l := open(t, Config{Shards: 2}, "tcp", "127.0.0.1:0")
	clients := []net.Conn{dial(t, l), dial(t, l), dial(t, l)}
	free := exhaust(t)
	stolen := make(chan int, 1)
	l.reserve.mu.Lock()
	l.reserve.gap = func() {
		if fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC); err == nil {
			stolen <- fd
		}
	}
	l.reserve.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		ended <- l.Serve(func(c net.Conn) {
			c.Write([]byte("x"))
			c.Close()
		})
	}()
	await(t, "the loops pause", func() bool { return l.Stats().Pauses > 3 })
	if st := l.Stats(); st.RefusedFiles != 0 {
		t.Errorf("%+v", st)
	}
	l.reserve.mu.Lock()
	l.reserve.gap = nil
	l.reserve.mu.Unlock()
	unix.Close(<-stolen)
	for i, c := range clients { // served or reset, by who was first to the descriptor
		if _, err := c.Read(make([]byte, 1)); err != nil &&
			!errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("client %d: %v", i, err)
		}
	}
	free()
	free()
	free()
	if _, err := io.ReadFull(dial(t, l), make([]byte, 1)); err != nil {
		t.Error("after all: ", err)
	}
	l.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Close while there are no descriptors, in every policy.
func TestCloseWithoutDescriptors(t *testing.T) {
	for _, p := range []Policy{Wait, RefuseReset, RefuseMessage} {
		var warned atomic.Int32
		l := open(t, Config{OnOverload: p, Message: []byte(busy), Warn: func(err error) {
			if noFile(err) {
				warned.Add(1)
			}
		}}, "tcp", "127.0.0.1:0")
		t.Run(p.String(), func(t *testing.T) {
			c := dial(t, l)
			exhaust(t)
			ended := make(chan error, 1)
			go func() {
				_, err := l.Accept()
				ended <- err
			}()
			await(t, "Accept notices", func() bool {
				return warned.Load() > 0 && l.Stats().Pauses > 0
			})
			l.Close()
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept = %v", err)
			}
			got, err := io.ReadAll(c)
			if told := string(got) == busy &&
				err == nil; told != (p == RefuseMessage) ||
				!told && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client got %q, %v", got, err)
			}
			if st := l.Stats(); st.RefusedFiles+st.RefusedClose != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestRaiseFiles(t *testing.T) {
	out, err := role(t, "files").Output()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestActivated(t *testing.T) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := role(t, "activated")
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=web")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(c)
	var exit *exec.ExitError
	if waitErr := cmd.Wait(); errors.As(waitErr, &exit) || err != nil ||
		!strings.HasPrefix(string(got), "limit 77") {
		t.Errorf("%q, %v, %v", got, err, waitErr)
	}
}
