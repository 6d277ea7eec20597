//go:build linux

package loop

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/observe"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

// running is a loop that ends with the test, after its first survey.
func running(t *testing.T, o Options) (s *live.State, first error) {
	t.Helper()
	s = live.New(live.Options{})
	ctx, stop := context.WithCancel(context.Background())
	surveyed, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		New(o, s).Run(ctx, func(err error) { surveyed <- err })
	}()
	t.Cleanup(func() { stop(); <-ended })
	return s, <-surveyed
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not so: " + what)
		}
	}
}

// The own namespace is surveyed, and its queues are looked at many times between two surveys.
func TestOwnNamespace(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := running(t, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	await(t, "the queue is seen", func() bool {
		for _, n := range s.View(time.Now(), "").Spaces {
			for _, q := range n.Listeners {
				if q.Address == l.Addr().String() && q.Queue == 1 {
					return true
				}
			}
		}
		return false
	})
	if p := s.Pace(); p.Survey < time.Second || p.Survey > time.Minute || p.CPU <= 0 ||
		p.Look < 100*time.Millisecond {
		t.Errorf("%+v", p)
	}
}

// A subject that cannot be observed is an error, and leaves no figure.
func TestNoSubject(t *testing.T) {
	s, err := running(t, Options{Subject: observe.Options{Namespace: "/proc/0/ns/net",
		Name: "nowhere"}})
	if err == nil {
		t.Error("no error")
	}
	for _, n := range s.View(time.Now(), "").Spaces {
		if n.Why == "" || len(n.Rows) > 0 {
			t.Errorf("%+v", n)
		}
	}
}

// A loop that looks at a namespace does not keep it from ending for long.
func TestNamespaceEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to enter a lab from outside takes root")
	}
	l := labtest.Start(t)
	id, err := netns.Identify(netns.Path(l.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	var cookie uint64
	if err := netns.Do(netns.Path(l.NetNS()), func() (err error) {
		cookie, err = netns.Cookie()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ended, known := netns.Ended(cookie, id.Inode)
	if !known {
		t.Skip("this kernel does not tell whether a namespace has ended (Linux 6.18 does)")
	}
	s, err := running(t, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	shown := func() bool {
		for _, n := range s.View(time.Now(), "").Spaces {
			if strings.HasPrefix(n.Name, "lab") {
				return true
			}
		}
		return false
	}
	if ended || !shown() {
		t.Fatal("the namespace is not looked at")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the kernel has ended the namespace", func() bool {
		ended, _ := netns.Ended(cookie, id.Inode)
		return ended
	})
}
