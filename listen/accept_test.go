//go:build !plan9

package listen

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a socket whose Accept gives errors first.
type scripted struct {
	net.Listener
	errs  []error
	conns chan net.Conn
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp",
			Err: os.NewSyscallError("accept4", err)}
	}
	return <-s.conns, nil
}

func (s *scripted) SyscallConn() (syscall.RawConn, error) { return noRaw{}, nil }
func (s *scripted) SetDeadline(time.Time) error           { return nil }
func (s *scripted) Close() error                          { return nil }

type noRaw struct{}

func (noRaw) Control(func(uintptr)) error    { return errors.ErrUnsupported }
func (noRaw) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (noRaw) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

func scriptedListener(t *testing.T, c Config, errs ...error) (*Listener, *scripted) {
	t.Helper()
	c, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(c, &net.TCPAddr{})
	s := &scripted{errs: errs, conns: make(chan net.Conn, 1)}
	one, err := newShard(l, s)
	if err != nil {
		t.Fatal(err)
	}
	l.shards = []*shard{one}
	return l, s
}

// What accept(2) says of one connection, or of a lack that passes, never ends an accept
// loop. Time is simulated.
func TestAcceptSurvives(t *testing.T) {
	storm := make([]error, 1000)
	for i := range storm {
		storm[i] = syscall.ECONNABORTED
	}
	for _, v := range []struct {
		name         string
		errs         []error
		aborted      uint64
		pauses, most time.Duration
	}{
		{"one", []error{syscall.ECONNABORTED}, 1, 0, 0},
		{"storm", storm, 1000, 1000 - inARow, (1000 - inARow) * longPause},
		{"memory", []error{syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC}, 0, 3,
			firstPause * 7},
		{"descriptors, no reserve", []error{syscall.EMFILE, syscall.ENFILE}, 0, 2,
			firstPause * 3},
	} {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				warnings := 0
				l, s := scriptedListener(t,
					Config{OnOverload: Wait, Warn: func(error) {
						warnings++
					}}, v.errs...)
				near, far := net.Pipe()
				defer near.Close()
				defer far.Close()
				s.conns <- near
				began := time.Now()
				c, err := l.Accept()
				if err != nil || c != near {
					t.Fatalf("Accept = %v, %v", c, err)
				}
				st := l.Stats()
				if took := time.Since(began); st.Aborted != v.aborted ||
					st.Pauses != uint64(v.pauses) || took > v.most {
					t.Errorf("%+v in %v", st, took)
				}
				if seconds := int(time.Since(began) / time.Second); warnings < 1 ||
					warnings > seconds+1 {
					t.Errorf("%d warnings in %d s", warnings, seconds)
				}
			})
		})
	}
}

// An error that is no connection's is the caller's; Serve ends with it.
func TestAcceptFails(t *testing.T) {
	l, _ := scriptedListener(t, Config{}, syscall.EINVAL)
	if c, err := l.Accept(); c != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Accept = %v, %v", c, err)
	}
	l, _ = scriptedListener(t, Config{}, syscall.EINVAL)
	if err := l.Serve(func(net.Conn) {}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Serve = %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Serve failed: %v", err)
	}
}

func TestConfigValues(t *testing.T) {
	for _, v := range []struct {
		c    Config
		want string
	}{
		{Config{Backlog: -1}, "Backlog -1"}, {Config{Shards: 5000}, "Shards 5000"},
		{Config{FastOpen: -1}, "FastOpen"},
		{Config{MaxConnections: -1}, "MaxConnections"},
		{Config{DeferAccept: -1}, "DeferAccept"},
		{Config{AtLimit: RefuseMessage}, "without a Message"},
		{Config{OnOverload: RefuseMessage}, "without a Message"},
		{Config{Message: make([]byte, MaxMessage+1)}, "len(Message) 4097"},
		{Config{AtLimit: 9}, "Policy(9)"},
	} {
		_, err := v.c.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%+v: %v, want %q", v.c, err, v.want)
		}
	}
}

func FuzzActivation(f *testing.F) {
	f.Add(12, "12", "2", "http:admin")
	f.Add(12, "13", "1", "")
	f.Add(1, "1", "-1", "::")
	f.Add(1, "1", "99999999999999999999", "a")
	f.Fuzz(func(t *testing.T, pid int, forPID, count, names string) {
		env := map[string]string{"LISTEN_PID": forPID, "LISTEN_FDS": count,
			"LISTEN_FDNAMES": names}
		got, err := parseActivation(pid, func(k string) string { return env[k] })
		if err != nil && got != nil || len(got) > maxActivated {
			t.Errorf("%d names, %v", len(got), err)
		}
	})
}

func TestActivation(t *testing.T) {
	for _, v := range []struct {
		pid, fds, names string
		want            []string
		fails           bool
	}{
		{"7", "2", "http:admin", []string{"http", "admin"}, false},
		{"7", "2", "http", []string{"http", ""}, false},
		{"7", "1", "a:b:c", []string{"a"}, false},
		{"8", "2", "http", nil, false}, {"", "2", "", nil, false},
		{"7", "", "", nil, false},
		{"x", "2", "", nil, true}, {"7", "x", "", nil, true}, {"7", "-3", "", nil, true},
	} {
		env := map[string]string{"LISTEN_PID": v.pid, "LISTEN_FDS": v.fds,
			"LISTEN_FDNAMES": v.names}
		got, err := parseActivation(7, func(k string) string { return env[k] })
		if (err != nil) != v.fails || strings.Join(got, ",") != strings.Join(v.want, ",") ||
			len(got) != len(v.want) {
			t.Errorf("%+v: %q, %v", v, got, err)
		}
	}
}
