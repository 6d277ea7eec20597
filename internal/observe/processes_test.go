package observe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/observe"
)

func TestProcessAtItsLimit(t *testing.T) {
	s := start(t)
	server := s.spawn("full")
	s.listen(server, "127.0.0.1:8080", 5)
	if err := server.Limit(200); err != nil {
		t.Fatal(err)
	}
	must(server.FillFiles())(t)
	idle := s.spawn("idle") // without any TCP socket
	if err := idle.Limit(200); err != nil {
		t.Fatal(err)
	}
	must(idle.FillFiles())(t)
	have := s.observe()
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()),
		"name=full soft=200 files=200 sockets=1 sysadmin="+mayAdminister(t, server.PID()))
	s.want(have, host.ProcessKind, fmt.Sprint(idle.PID()),
		"name=idle soft=200 files=200 sockets=0")
	if slices.Contains(names(have, host.ProcessKind), fmt.Sprint(s.PID())) {
		t.Error("the lab's first worker is shown: it has neither sockets nor many files")
	}
}

func TestAdministrator(t *testing.T) {
	if have, want := observe.Administrator(),
		mayAdminister(t, os.Getpid()) == "yes"; have != want {
		t.Errorf("%v, want %v", have, want)
	}
}

// mayAdminister says whether a process has CAP_SYS_ADMIN in the initial user namespace.
func mayAdminister(t *testing.T, pid int) string {
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)))(t))
	_, rest, _ := strings.Cut(status, "CapEff:\t")
	effective := must(strconv.ParseUint(rest[:16], 16, 64))(t)
	ids := strings.Fields(string(must(os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", pid)))(t)))
	if effective&(1<<21) != 0 && slices.Equal(ids, []string{"0", "0", "4294967295"}) {
		return "yes"
	}
	return "no"
}

func TestListenerOfALargeProcess(t *testing.T) {
	s := start(t)
	server := s.spawn("large")
	s.listen(server, "127.0.0.1:8080", 5)
	must(server.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"), N: 12_000}))(t)
	_, at := s.listen(server, "127.0.0.1:8081", 5)
	have := s.observe()
	s.want(have, host.ListenerKind, at.String(),
		fmt.Sprintf("process=large pid=%d", server.PID()))
	if read := row(have, host.ProcessKind,
		fmt.Sprint(server.PID())); read["attributed"] == "all" {
		t.Errorf("%v", read)
	}
	inode, _ := strconv.ParseUint(row(have, host.ListenerKind, at.String())["inode"], 10, 32)
	id := must(netns.Identify(netns.Path(s.NetNS())))(t)
	reads, pid, files := observe.LookFor(id, uint32(inode))
	if pid != server.PID() || reads > files || files < 12_000 {
		t.Errorf("pid %d found by reading %d of %d descriptors", pid, reads, files)
	}
}

func TestSharedListener(t *testing.T) {
	nstest.Run(t, func() {
		l, err := net.Listen("tcp4", "0.0.0.0:8080")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file := must(l.(*net.TCPListener).File())(t)
		defer file.Close()
		var pids []int
		for range 3 {
			cmd := exec.Command(nstest.Tool(t, "cat"))
			cmd.ExtraFiles = []*os.File{file}
			stdin := must(cmd.StdinPipe())(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer stdin.Close()
			pids = append(pids, cmd.Process.Pid)
		}
		slices.Sort(pids)
		have := must(observe.Observe(context.Background(), observe.Options{}))(t)
		got := row(have, host.ListenerKind, "0.0.0.0:8080")
		want := strings.Trim(strings.ReplaceAll(fmt.Sprint(pids), " ", ","), "[]")
		if got["pids"] != want || got["pid"] != fmt.Sprint(pids[0]) ||
			got["process"] != "cat" {
			t.Errorf("%v, want pids %s", got, want)
		}
		s := scene{T: t}
		for _, pid := range pids {
			s.want(have, host.ProcessKind, fmt.Sprint(pid),
				"name=cat sockets=1 attributed=all")
		}
		if own := row(have, host.ProcessKind, fmt.Sprint(os.Getpid())); own != nil {
			t.Errorf("this process is shown: %v", own)
		}
	})
}
