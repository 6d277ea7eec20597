//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/plan"
)

// Settings of the whole host, and the limits of a running process of another user, are
// applied and rolled back; nothing else in the kernel moves.
func TestVMHostSettings(t *testing.T) {
	onKernels(t, func(t *testing.T, m *machine) { m.play("settings") })
}

// A workload that a small machine does not hold: plan, apply, check, rollback, as an
// operator does it.
func TestVMWorkload(t *testing.T) {
	onKernels(t, func(t *testing.T, m *machine) { m.play("workload") })
}

// sceneServe is a server that listens on a port and takes nobody. It says when it does.
func sceneServe(g *guest) {
	_, err := net.Listen("tcp4", "0.0.0.0:"+g.args[0])
	g.check(err)
	soft, err := strconv.ParseUint(g.args[1], 10, 64)
	g.check(err)
	hard, err := strconv.ParseUint(g.args[2], 10, 64)
	g.check(err)
	g.check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: soft, Max: hard}))
	fmt.Println("listens")
	time.Sleep(time.Hour)
}

// serve starts a server of Debian's www-data and gives its process.
func (g *guest) serve(port, soft, hard string) int {
	cmd := exec.Command("/proc/self/exe", port, soft, hard)
	cmd.Env = []string{sceneVar + "=serve"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 33, Gid: 33},
		Pdeathsig: syscall.SIGKILL}
	stdout, err := cmd.StdoutPipe()
	g.check(err)
	g.check(cmd.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	g.check(err)
	return cmd.Process.Pid
}

// raised are changes of every kind that a host has, in an order that the kernel takes:
// fs.nr_open before a hard limit above the old one (kernel/sys.c do_prlimit).
func (g *guest) raised(before values, pid int) []plan.Change {
	return []plan.Change{
		set("net.ipv4.tcp_mem", twice(before["sysctl net.ipv4.tcp_mem"])),
		set("fs.file-max", twice(before["sysctl fs.file-max"])),
		set("fs.nr_open", "2097152"),
		g.limitTo(pid, "hard", "1500000"),
		g.limitTo(pid, "soft", "1200000"),
		set("net.netfilter.nf_conntrack_buckets", "65536"),
		set("net.netfilter.nf_conntrack_max", "131072"),
		set("net.core.netdev_max_backlog", "4096"),
		set("net.ipv4.tcp_max_orphans", "40000"),
		set("net.ipv4.tcp_max_tw_buckets", "50000"),
		set("net.ipv4.neigh.default.gc_thresh1", "1024"),
		set("net.ipv4.neigh.default.gc_thresh2", "4096"),
		set("net.ipv4.neigh.default.gc_thresh3", "8192"),
		lengthen("dummy0", "1000"),
	}
}

// conntrackAliases: the maximum of connection tracking has two names, and the size of its
// hash table stands in a second place.
func conntrackAliases(more ...string) []string {
	return append(more, "sysctl net.nf_conntrack_max", "hashsize")
}

func sceneSettings(g *guest) {
	pid, bystander := g.serve("8080", "1024", "4096"), g.serve("8081", "1024", "4096")
	before := g.kernel(pid, bystander)
	p := g.planFor(before, g.raised(before, pid)...)

	g.refusesWrongOrder(p, before, pid, bystander)

	g.writeJSON("/tmp/plan.json", p)
	g.says(g.maxconn(0, "apply", "--yes", "/tmp/plan.json"), "applied")
	g.holds(p, g.kernel(pid, bystander), before, conntrackAliases()...)
	g.maxconn(0, "status")
	g.maxconn(0, "verify")
	g.maxconn(0, "verify", "/tmp/plan.json")

	g.says(g.maxconn(0, "rollback"), "undone")
	g.sameAs("after rollback", g.kernel(pid, bystander), before)
	g.says(g.maxconn(0, "status"), "nothing is applied")
}

// refusesWrongOrder: the hard limit before fs.nr_open is not possible; everything that was
// written until then is rolled back.
func (g *guest) refusesWrongOrder(p plan.Plan, before values, pids ...int) {
	p.Changes = slices.Clone(p.Changes)
	p.Changes[2], p.Changes[3] = p.Changes[3], p.Changes[2]
	g.writeJSON("/tmp/wrong.json", p)
	g.says(g.maxconn(70, "apply", "--yes", "/tmp/wrong.json"),
		"process "+strconv.Itoa(pids[0])+" = 1500000", "fs.nr_open", "everything is "+
			"as before")
	g.sameAs("after an apply that failed", g.kernel(pids...), before)
}

func sceneWorkload(g *guest) {
	pid := g.serve("8080", "1024", "4096")
	before := g.kernel(pid)
	g.maxconn(1, "check", "--inbound", ":8080=45k")
	g.says(g.maxconn(0, "plan", "--inbound", ":8080=45k", "-o", "/tmp/plan.json"),
		"fs.file-max", "soft descriptor limit", "hard descriptor limit")
	p := g.readPlan("/tmp/plan.json")
	g.maxconn(0, "apply", "--yes", "/tmp/plan.json")
	g.holds(p, g.kernel(pid), before, conntrackAliases()...)
	g.maxconn(0, "check", "--inbound", ":8080=45k")
	g.maxconn(0, "rollback")
	g.sameAs("after rollback", g.kernel(pid), before)
}
