package listen

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A successor was started with the sockets, which calls Fd on their files. The old listener
// goes on, and closes while it waits for clients.
func TestFilesGivenToAProgram(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := map[string]string{"tcp": "127.0.0.1:0",
			"unix": t.TempDir() + "/s"}[network]
		l := open(t, Config{}, network, address)
		files, err := l.Files()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^$")
		cmd.ExtraFiles = files
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, f := range files {
			f.Close()
		}
		dial(t, l)
		accept(t, l)
		flags := -1
		err = control(l.shards[0].raw, func(fd int) (err error) {
			flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			return err
		})
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Fatalf("%s: the socket blocks, and Close would: flags %#x, %v", network,
				flags, err)
		}
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// While Close turns clients away nobody gets the sockets: they would never have a client.
func TestFilesWhileClosing(t *testing.T) {
	l := open(t, Config{HandshakeGrace: time.Second}, "tcp", "127.0.0.1:0")
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	await(t, "Close turns clients away", l.filtered.Load)
	if files, err := l.Files(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Files = %v, %v", files, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A Listener that is dropped without Close leaves no descriptor, like package net's.
func TestDroppedListener(t *testing.T) {
	before := eventfds(t)
	dropListener(t)
	await(t, "the reserve is closed", func() bool {
		runtime.GC()
		return eventfds(t) <= before
	})
}

//go:noinline
func dropListener(t *testing.T) {
	before := eventfds(t)
	l, err := Config{}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if n := eventfds(t); n != before+1 {
		t.Errorf("%d eventfds, %d before: is the reserve another kind of descriptor?", n,
			before)
	}
	runtime.KeepAlive(l)
}

// eventfds counts them; the reserve is one.
func eventfds(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to == "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}

// An adopted socket's connections have the keep-alive settings asked for, which package net
// would overwrite.
func TestAdoptKeepAlive(t *testing.T) {
	for _, v := range []struct {
		c                   Config
		on, idle, intvl, ct int
	}{
		{Config{}, 1, 15, 15, 9}, {Config{KeepAlive: 3 * time.Second}, 1, 3, 15, 9},
		{Config{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second,
			Interval: 2 * time.Second, Count: 3}}, 1, 5, 2, 3},
		{Config{KeepAlive: -1}, 0, 0, 0, 0},
	} {
		l, err := v.c.Adopt(listening(t))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial(t, l)
		got := options(t, accept(t, l))
		if want := []int{v.on, v.idle, v.intvl, v.ct, 1}; got[0] != v.on ||
			v.on == 1 && !slices.Equal(got, want) {
			t.Errorf("%+v: options %v, want %v", v.c, got, want)
		}
	}
}

// What an adopted socket cannot do is an error, as with Listen.
func TestAdoptRefusals(t *testing.T) {
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var op *net.OpError
	if _, err := (Config{DeferAccept: time.Second}).Adopt(ln); !errors.Is(err,
		errors.ErrUnsupported) || !errors.As(err, &op) || op.Op != "adopt" {
		t.Errorf("DeferAccept on a Unix socket: %v", err)
	}
	var cut *BacklogError
	if _, err := (Config{Backlog: 1 << 30}).Adopt(ln); !errors.As(err, &cut) ||
		!errors.As(err, &op) || op.Op != "adopt" {
		t.Errorf("Backlog: %v", err)
	}
	l, err := Config{DeferAccept: time.Second, BestEffort: true}.Adopt(ln)
	if err != nil || len(l.Unmet()) != 1 {
		t.Fatalf("BestEffort: %v, %v", l.Unmet(), err)
	}
	l.Close()
}

func listening(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
