package observe_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/observe"
)

// Sockets that were given a part of the port range, which no file and no dump shows.
func TestPortRangeOfSockets(t *testing.T) {
	s := start(t)
	server, client, plain := s.spawn("server"), s.spawn("client"), s.spawn("plain")
	_, at := s.listen(server, "127.0.0.1:8080", 100)
	_, other := s.listen(server, "127.0.0.1:8081", 100)
	c := must(client.ConnectCost(lab.CostSpec{To: at, N: 20, Low: 40000, Window: 20}))(t)
	if c.Count != 20 {
		t.Skipf("%d of 20 connections: before Linux 6.3 sockets have no range", c.Count)
	}
	s.connect(plain, lab.ConnectSpec{To: other, N: 20})
	have := s.observe()
	s.want(have, host.OutboundKind, "127.0.0.1->"+at.String(), "band=40000-40019 ranged=20")
	s.want(have, host.OutboundKind, "127.0.0.1->"+other.String(), "band= ranged=20")
	s.connect(plain, lab.ConnectSpec{To: at, N: 3})
	s.want(s.observe(), host.OutboundKind, "127.0.0.1->"+at.String(), "ranged=23")
}

// Under "ip netns exec" /sys is mounted anew, and no cgroup file system is there: it is found where
// the parent sees it, with the same figures.
func TestCgroupsThatAreNotMounted(t *testing.T) {
	s := start(t)
	server := s.spawn("server")
	s.listen(server, "127.0.0.1:8080", 100)
	pid := strconv.Itoa(server.PID())
	want := row(must(s.seenBy("look", ""))(t), host.ProcessKind, pid)["cgroup"]
	if want == "" {
		t.Skip("no cgroup file system is mounted here")
	}
	have, err := s.seenBy("look", `exec unshare -m /bin/sh -c 'umount -l /sys && exec "$0"' "$0"`)
	if err != nil {
		nstest.Unavailable(t, err)
	}
	s.want(have, host.ProcessKind, pid, "unseen_cgroup= cgroup="+want)
	if row(have, host.CgroupKind, want) == nil {
		t.Errorf("no row of %s; there are %v", want, names(have, host.CgroupKind))
	}
}

// serve is a child that is called like a server and has its arguments.
func serve() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if err := os.WriteFile("/proc/self/comm", []byte(os.Args[0]), 0); err != nil {
		return err
	}
	fmt.Println(l.Addr())
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	return err
}

// A server is known by its name, and what it allows itself by the configuration that it read: not
// by one that was changed since, or that is no regular file.
func TestConfiguredServers(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "server.conf")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		argv    []string
		text    string
		changed time.Duration
		want    string
	}{
		"nginx": {[]string{"nginx", "-c", file}, "events { worker_connections 60; }", 0,
			"60 worker_connections all"},
		"haproxy": {[]string{"haproxy", "-W", "-f", file}, "global\n maxconn 70\nlisten a\n", 0,
			"70 maxconn inbound"},
		"changed since": {[]string{"nginx", "-c", file}, "events { }", time.Hour, ""},
		"no nginx":      {[]string{"nginy", "-c", file}, "events { }", 0, ""},
		"relative":      {[]string{"nginx", "-c", "server.conf"}, "events { }", 0, ""},
		"cut short":     {[]string{"nginx", "-c", file}, "events { worker_conn", 0, ""},
		"not there":     {[]string{"nginx", "-c", file + "x"}, "events { }", 0, ""},
		"not regular":   {[]string{"nginx", "-c", fifo}, "events { }", 0, ""},
		"its argument":  {[]string{"nginx", "-c"}, "events { }", 0, ""},
		"another prefix": {[]string{"nginx", "-p", "/tmp", "-c", file}, "events { }", 0,
			""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(c.changed - time.Minute)
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
			cmd := &exec.Cmd{Path: own, Args: c.argv, Env: append(os.Environ(),
				childEnv+"=serve"), Stderr: os.Stderr}
			in := must(cmd.StdinPipe())(t)
			out := bufio.NewReader(must(cmd.StdoutPipe())(t))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer in.Close()
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			snapshot, err := observe.Observe(context.Background(), observe.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := row(snapshot, host.ProcessKind, strconv.Itoa(cmd.Process.Pid))
			if f == nil {
				t.Fatalf("no row of process %d", cmd.Process.Pid)
			}
			have := strings.TrimSpace(f["own_limit"] + " " + f["own_limit_name"] + " " +
				f["own_limit_counts"])
			if have != c.want {
				t.Errorf("allows itself %q, want %q", have, c.want)
			}
		})
	}
}
