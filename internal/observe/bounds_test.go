package observe_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
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
	bufio.NewReader(os.Stdin).ReadString('\n') // until the test ends
	return nil
}

// A server is known by its name, and what it allows itself by the configuration that it read: not
// by one that was changed since, or that is no regular file.
func TestConfiguredServers(t *testing.T) {
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
			s := start(t)
			pid, _ := s.child("serve", c.argv...)
			f := row(s.observe(), host.ProcessKind, strconv.Itoa(pid))
			if f == nil {
				t.Fatalf("no row of process %d", pid)
			}
			have := strings.TrimSpace(f["own_limit"] + " " + f["own_limit_name"] + " " +
				f["own_limit_counts"])
			if have != c.want {
				t.Errorf("allows itself %q, want %q", have, c.want)
			}
		})
	}
}

// tables is a child of two threads that have descriptor tables of their own, and connections in
// them.
func tables() error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	ready := make(chan error)
	for range 2 {
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			if err := unix.Unshare(unix.CLONE_FILES); err != nil {
				ready <- err
				return
			}
			ready <- connectTo(l.Addr().(*net.TCPAddr), 30)
			select {}
		}()
		if err := <-ready; err != nil {
			return err
		}
	}
	fmt.Println(l.Addr())
	bufio.NewReader(os.Stdin).ReadString('\n') // until the test ends
	return nil
}

// connectTo opens connections and keeps them, in the table of the calling thread.
func connectTo(at *net.TCPAddr, n int) error {
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		a := &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}
		if err := unix.Connect(fd, a); err != nil {
			return err
		}
	}
	return nil
}

// child starts a child of a role in the namespace of the scene. It has printed the address of its
// listener, and ends with the test.
func (t scene) child(role string, argv ...string) (pid int, at string) {
	t.Helper()
	cmd := &exec.Cmd{Path: must(os.Executable())(t), Args: argv, Env: append(os.Environ(),
		childEnv+"="+role), Stderr: os.Stderr}
	in := must(cmd.StdinPipe())(t)
	out := bufio.NewReader(must(cmd.StdoutPipe())(t))
	if err := netns.Do(netns.Path(t.NetNS()), cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, strings.TrimSpace(line)
}

// Threads that have descriptors of their own (CLONE_FILES not shared) show in their own directories
// alone: their connections are the process's, and the limit is one of each table.
func TestTablesOfThreads(t *testing.T) {
	s := start(t)
	pid, at := s.child("tables", "tables")
	snapshot := s.observe()
	s.want(snapshot, host.ProcessKind, strconv.Itoa(pid),
		"tables=3 unseen_tables= attributed=all ESTABLISHED=60")
	s.want(snapshot, host.OutboundKind, "127.0.0.1->"+at, "ESTABLISHED=60 pid="+
		strconv.Itoa(pid))
}

// leak is a child that is near its limit of descriptors for sockets that it does not use.
func leak() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = min(limit.Max, 6000)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if err := connectTo(l.Addr().(*net.TCPAddr), 600); err != nil {
		return err
	}
	for range limit.Cur - 640 {
		if _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
			return err
		}
	}
	fmt.Println(l.Addr())
	bufio.NewReader(os.Stdin).ReadString('\n') // until the test ends
	return nil
}

// A leak of sockets is called so from a sample of the descriptors, and the estimates hold the
// truth.
func TestLeakedSockets(t *testing.T) {
	s := start(t)
	pid, _ := s.child("leak", "leak")
	f := row(s.observe(), host.ProcessKind, strconv.Itoa(pid))
	number := func(name string) int { return must(strconv.Atoi(f[name]))(t) }
	if f["estimate"] == "" && f["attributed"] == "all" {
		t.Skip("the hard limit of descriptors is too low for a process that is sampled")
	}
	files, estimate, off := number("files"), number("estimate"), number("error")
	if estimate < 600-off || estimate > 600+off || off > files/10 {
		t.Errorf("%d connections, off by %d; 600 are true", estimate, off)
	}
	loose := files - 600 - 20 // and what the program has open besides
	if n := number("unconnected"); n < loose*9/10 || n > loose*11/10 {
		t.Errorf("%d sockets that are not connected of %d, want about %d", n, files, loose)
	}
}
