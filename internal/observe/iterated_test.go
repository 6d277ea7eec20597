package observe_test

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
)

// privileged skips where programs cannot be loaded, or given to an ordinary user.
func (s scene) privileged() {
	s.Helper()
	o, err := bpf.NewOwners(0)
	if err != nil || os.Geteuid() != 0 {
		s.Skip("this takes root, and a kernel with types: ", err)
	}
	o.Close()
}

// asNobody observes as uid 65534 with these capabilities.
func (s scene) asNobody(capabilities ...uintptr) host.Snapshot {
	s.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env, c.Dir = []string{childEnv + "=look"}, "/"
	c.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: capabilities,
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := netns.Do(netns.Path(s.NetNS()), c.Start); err != nil {
		s.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		s.Fatalf("%v: %s", err, errs.Bytes())
	}
	return must(host.Parse(out.Bytes()))(s)
}

// holders are the rows that tell who holds what, without what only root may read of a process.
func holders(have host.Snapshot) (lines []string) {
	fields := []string{"pid", "pids", "process", "several", "name", "files", "epoll", "sockets",
		"attributed", "estimate", "ESTABLISHED", "SYN_SENT", "ports", "tables"}
	for _, k := range []host.Kind{host.ListenerKind, host.InboundKind, host.OutboundKind,
		host.BinderKind, host.ProcessKind} {
		for _, row := range have.Read().Rows(k) {
			line := string(k) + " " + row.Name()
			for _, f := range fields {
				line += " " + f + "=" + row.Text(f)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// An ordinary user with two capabilities sees by the kernel's iterator what root sees by /proc, and
// without them only processes of their own.
func TestOrdinaryUserSeesWhatRootSees(t *testing.T) {
	s := start(t)
	s.privileged()
	server, client, shares := s.spawn("server"), s.spawn("client"), s.spawn("shares")
	group, at := s.listen(server, "127.0.0.1:5001", 200)
	s.talk(client, server, group, at, 150)
	must(shares.Borrow(server, group))(t)
	must(shares.Bind(lab.BindSpec{N: 3}))(t)
	group6, at6 := s.listen(shares, "[::1]:5002", 200)
	s.talk(server, shares, group6, at6, 20)
	root := holders(s.observe())
	nobody := holders(s.asNobody(unix.CAP_BPF, unix.CAP_PERFMON))
	if diff := cmp.Diff(root, nobody); diff != "" {
		t.Errorf("-root +nobody\n%s", diff)
	}
	if !slices.ContainsFunc(root, func(line string) bool {
		return strings.HasPrefix(line, "process ") && strings.Contains(line, "name=server")
	}) {
		t.Errorf("root sees no server: %v", root)
	}
	for _, line := range holders(s.asNobody()) {
		if strings.HasPrefix(line, "process ") {
			t.Errorf("without capabilities: %s", line)
		}
	}
}

// Where /proc would be read in part, the iterator tells all.
func TestLargeProcessIsIterated(t *testing.T) {
	s := start(t)
	s.privileged()
	server, large, small := s.spawn("server"), s.spawn("large"), s.spawn("small")
	group, at := s.listen(server, "127.0.0.1:5003", 600)
	s.talk(large, server, group, at, 5100)
	s.talk(small, server, group, at, 5000)
	have := s.asNobody(unix.CAP_BPF, unix.CAP_PERFMON)
	for _, c := range []struct {
		actor *lab.Actor
		want  string
	}{{large, "5100"}, {small, "5000"}, {server, "10101"}} {
		s.want(have, host.ProcessKind, strconv.Itoa(c.actor.PID()),
			"attributed=all sockets="+c.want)
	}
}
