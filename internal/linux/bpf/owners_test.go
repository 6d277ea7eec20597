//go:build linux

package bpf_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// owners loads the iterator, or skips where this process may not.
func owners(t testing.TB, netns uint32) *bpf.Owners {
	t.Helper()
	o, err := bpf.NewOwners(netns)
	if err != nil {
		skip(t, err)
	}
	t.Cleanup(o.Close)
	return o
}

// skip says that programs cannot be loaded here. Where the kernel has what they need, root can.
func skip(t testing.TB, err error) {
	t.Helper()
	var e *bpf.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if _, noTypes := os.Stat("/sys/kernel/btf/vmlinux"); bpf.Permitted() && noTypes == nil {
		t.Fatal(err)
	}
	t.Skip(err)
}

// scene is a lab with programs that hold sockets of all kinds, some of them together.
func scene(t testing.TB) (space uint32, pids []uint32) {
	l := labtest.Start(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	spawn := func(name string) *lab.Actor {
		a, err := l.Spawn(name)
		must(err)
		pids = append(pids, uint32(a.PID()))
		return a
	}
	server, client, second := spawn("server"), spawn("client"), spawn("second")
	spawn("idle")
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		group, addr, err := server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(at),
			Backlog: 1024})
		must(err)
		opened, err := client.Connect(lab.ConnectSpec{To: addr, N: 700})
		must(err)
		if opened.Count != 700 {
			t.Fatal(opened)
		}
		_, err = server.Accept(lab.AcceptSpec{Listener: group, N: 600})
		must(err)
		_, err = second.Borrow(server, group)
		must(err)
	}
	_, err := second.Bind(lab.BindSpec{N: 3})
	must(err)
	_, err = second.Bind(lab.BindSpec{N: 3,
		Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	must(err)
	_, err = second.Watch(2)
	must(err)
	id, err := netns.Identify(netns.Path(l.NetNS()))
	must(err)
	return uint32(id.Inode), append(pids, uint32(l.PID()))
}

// seen is what a process has.
type seen struct {
	sockets map[uint32]bool // inodes of TCP sockets
	counts  procfs.Counts
}

// byProc is what /proc says of a process.
func byProc(t testing.TB, pid uint32) seen {
	t.Helper()
	p, err := procfs.Root("").Open(int(pid))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	walk, err := p.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer walk.Close()
	s := seen{sockets: map[uint32]bool{}}
	if _, _, err = walk.Sockets(0, func(fd int, inode uint32) bool {
		if walk.IsTCP(fd) {
			s.sockets[inode] = true
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	s.counts = walk.Counts()
	return s
}

// Both ways say the same of processes that rest: which TCP sockets each holds, and how many
// descriptors of which kind.
func TestOwnersAreThoseOfProc(t *testing.T) {
	space, pids := scene(t)
	o := owners(t, space)
	for range 2 { // a second pass begins anew
		have := map[uint32]seen{}
		err := o.Each(func(h bpf.Held) {
			if have[h.PID].sockets == nil {
				have[h.PID] = seen{sockets: map[uint32]bool{}}
			}
			have[h.PID].sockets[h.Inode] = true
			if h.NetNS != space {
				t.Errorf("%+v is not of %d", h, space)
			}
		}, func(x bpf.Table) {
			s := have[x.PID]
			s.counts = procfs.Counts{Sockets: x.Sockets, Epolls: x.Epolls,
				Events: x.Events, Pipes: x.Pipes, Files: x.Files, Others: x.Others}
			have[x.PID] = s
			if slices.Contains(pids, x.PID) && x.NetNS != space {
				t.Errorf("%+v is not of %d", x, space)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, pid := range pids {
			want := byProc(t, pid)
			sum += len(want.sockets)
			if !maps.Equal(have[pid].sockets, want.sockets) {
				t.Errorf("process %d: %d sockets, /proc has %d", pid,
					len(have[pid].sockets), len(want.sockets))
			}
			if have[pid].counts != want.counts {
				t.Errorf("process %d: %+v, /proc has %+v", pid, have[pid].counts,
					want.counts)
			}
		}
		if sum < 2600 {
			t.Errorf("the scene has %d sockets", sum)
		}
	}
}

// An ordinary user with the two capabilities sees what root sees; with one of them, nothing.
func TestOwnersOfAnOrdinaryUser(t *testing.T) {
	space, pids := scene(t)
	owners(t, space)
	if os.Geteuid() != 0 {
		t.Skip("only root can give capabilities to an ordinary user")
	}
	var want []string
	for _, pid := range pids {
		for inode := range byProc(t, pid).sockets {
			want = append(want, fmt.Sprintln(pid, inode))
		}
	}
	out, err := asNobody(space, unix.CAP_BPF, unix.CAP_PERFMON)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	have := slices.Collect(stringLines(out))
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(slices.Compact(have), want) {
		t.Errorf("%d sockets, want %d", len(have), len(want))
	}
	for _, one := range []uintptr{unix.CAP_BPF, unix.CAP_PERFMON} {
		if out, err := asNobody(space, one); err == nil ||
			!bytes.Contains(out, []byte("CAP_BPF and CAP_PERFMON")) {
			t.Errorf("with capability %d alone: %v, %s", one, err, out)
		}
	}
}

func stringLines(text []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(text) {
			if !yield(string(line)) {
				return
			}
		}
	}
}

// asNobody runs a copy of this test as uid 65534.
func asNobody(space uint32, capabilities ...uintptr) ([]byte, error) {
	c := exec.Command("/proc/self/exe")
	c.Env = []string{fmt.Sprintf("%s=%d", asked, space)}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: capabilities,
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return c.CombinedOutput()
}

// BenchmarkOwners compares both ways by what a descriptor costs.
func BenchmarkOwners(b *testing.B) {
	space, pids := scene(b)
	files := 0
	perFile := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(files), "ns/descriptor")
	}
	b.Run("iterator", func(b *testing.B) {
		o := owners(b, space)
		files = 0
		for b.Loop() {
			if err := o.Each(func(bpf.Held) {},
				func(x bpf.Table) { files += x.Open() }); err != nil {
				b.Fatal(err)
			}
		}
		perFile(b)
	})
	b.Run("proc", func(b *testing.B) {
		files = 0
		for b.Loop() {
			for _, pid := range pids {
				p, err := procfs.Root("").Open(int(pid))
				if err != nil {
					b.Fatal(err)
				}
				walk, err := p.Files()
				if err != nil {
					b.Fatal(err)
				}
				n, _, _ := walk.Sockets(0, func(int, uint32) bool { return true })
				files += n
				walk.Close()
				p.Close()
			}
		}
		perFile(b)
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			o, err := bpf.NewOwners(0)
			if err != nil {
				b.Fatal(err)
			}
			o.Close()
		}
	})
}
