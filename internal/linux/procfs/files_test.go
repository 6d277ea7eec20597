package procfs_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"golang.org/x/sys/unix"
)

// walk reads the whole table in steps of at most that many descriptors and fails
// if one is read twice.
func walk(t testing.TB, f *procfs.Files, step int) (inodes map[int]uint32, descriptors int) {
	t.Helper()
	inodes = make(map[int]uint32)
	for {
		read, complete, err := f.Sockets(step, func(fd int, inode uint32) bool {
			if _, again := inodes[fd]; again {
				t.Fatalf("descriptor %d was read twice", fd)
			}
			inodes[fd] = inode
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if step > 0 && read > step {
			t.Fatalf("%d descriptors read, %d allowed", read, step)
		}
		descriptors += read
		if complete {
			return inodes, descriptors
		}
	}
}

// TestSockets reads a process that knows its own sockets. 400 do not fit into
// one call of getdents64.
func TestSockets(t *testing.T) {
	c := sockets(t, 400)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{0, 1, 7, 170, 1000} {
		got, descriptors := walk(t, files(t, open(t, c.pid)), step)
		if diff := cmp.Diff(c.inodes(t), got); diff != "" {
			t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
		}
		if descriptors != len(entries) {
			t.Errorf("in steps of %d: read %d descriptors, has %d", step, descriptors,
				len(entries))
		}
	}
}

// TestSocketsStopAndGoOn stops at every socket.
func TestSocketsStopAndGoOn(t *testing.T) {
	c := sockets(t, 20)
	f := files(t, open(t, c.pid))
	want := c.inodes(t)
	last := -1
	for calls := 0; ; calls++ {
		found := 0
		_, complete, err := f.Sockets(0, func(fd int, inode uint32) bool {
			if fd <= last || want[fd] != inode {
				t.Errorf("descriptor %d, inode %d after descriptor %d; want "+
					"inode %d", fd, inode, last, want[fd])
			}
			last = fd
			found++
			return false
		})
		if err != nil {
			t.Fatal(err)
		}
		if complete {
			if calls != 20 || found != 0 {
				t.Errorf("complete after %d calls, %d sockets in the last", calls,
					found)
			}
			break
		}
		if found != 1 {
			t.Fatalf("%d sockets in one call", found)
		}
	}
	if read, complete, err := f.Sockets(0, nil); read != 0 || !complete || err != nil {
		t.Errorf("after the end: %d %v %v", read, complete, err)
	}
}

// TestSocketsClosedMeanwhile closes a descriptor that the kernel has listed
// and the walk has not reached.
func TestSocketsClosedMeanwhile(t *testing.T) {
	var fds [3]int
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
	}
	f := files(t, open(t, os.Getpid()))
	seen := make(map[int]bool)
	if _, _, err := f.Sockets(0, func(fd int, _ uint32) bool {
		seen[fd] = true
		return fd != fds[0]
	}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	if _, complete, err := f.Sockets(0, func(fd int, _ uint32) bool {
		seen[fd] = true
		return true
	}); !complete || err != nil {
		t.Fatalf("complete %v, %v", complete, err)
	}
	unix.Close(fds[0])
	unix.Close(fds[2])
	if !seen[fds[0]] || seen[fds[1]] || !seen[fds[2]] {
		t.Errorf("of %v, the second closed, saw %v", fds, seen)
	}
}

func TestSocketsAllocateNothing(t *testing.T) {
	c := sockets(t, 300)
	p := open(t, c.pid)
	f := files(t, p)
	count := 0
	each := func(int, uint32) bool { count++; return true }
	// Ten steps of 20 descriptors each, the kernel's listing among them.
	if n := testing.AllocsPerRun(10, func() {
		if _, _, err := f.Sockets(20, each); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 20 descriptors", n)
	}
	if count < 200 {
		t.Errorf("only %d sockets were read", count)
	}
}

func TestOpenCount(t *testing.T) {
	for _, n := range []int{0, 5, 400} {
		c := sockets(t, n)
		p := open(t, c.pid)
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.OpenCount(); got != len(entries) || err != nil {
			t.Errorf("%d sockets: got %d %v, want %d", n, got, err, len(entries))
		}
		if got, err := p.CountEntries(); got != len(entries) || err != nil {
			t.Errorf("%d sockets, as before 6.2: got %d %v, want %d", n, got, err,
				len(entries))
		}
	}
}

// TestHeadless reads a process whose first thread has exited: the descriptors
// are those of the others.
func TestHeadless(t *testing.T) {
	c := start(t, "headless 300", "headless", nil)
	p := open(t, c.pid)
	stat, err := p.Stat()
	if err != nil || !stat.Exiting() {
		t.Fatalf("the first thread is %+v, %v; want it exiting", stat, err)
	}
	if n, err := p.OpenCount(); n < 300 || err != nil {
		t.Errorf("%d open, %v; want 300 or more", n, err)
	}
	got, _ := walk(t, files(t, p), 7)
	if diff := cmp.Diff(c.inodes(t), got); diff != "" {
		t.Errorf("sockets (-want +got):\n%s", diff)
	}
	own, err := open(t, os.Getpid()).NetNS()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.NetNS(); got != own || err != nil {
		t.Errorf("network namespace %v %v, want %v", got, err, own)
	}
}

// TestGone ends a process in the middle of a walk: first it is a zombie, then
// it is gone. Neither is a shorter answer.
func TestGone(t *testing.T) {
	c := sockets(t, 400)
	p := open(t, c.pid)
	f := files(t, p)
	if read, complete, err := f.Sockets(10, func(int, uint32) bool {
		return true
	}); read != 10 || complete || err != nil {
		t.Fatalf("read %d, complete %v, %v", read, complete, err)
	}
	checkGone := func(state string) {
		t.Helper()
		asks := map[string]func() error{
			"sockets": func() error {
				_, _, err := f.Sockets(0, func(int, uint32) bool { return true })
				return err
			},
			"open count": func() error { _, err := p.OpenCount(); return err },
			"netns":      func() error { _, err := p.NetNS(); return err },
			"mountinfo":  func() error { _, err := p.Read("mountinfo"); return err },
			"net/snmp":   func() error { _, err := p.Read("net/snmp"); return err },
		}
		if state == "reaped" {
			asks["files"] = func() error { _, err := p.Files(); return err }
			asks["status"] = func() error { _, err := p.Status(); return err }
			asks["stat"] = func() error { _, err := p.Stat(); return err }
			asks["limits"] = func() error { _, err := p.Limits(); return err }
			asks["comm"] = func() error { _, err := p.Comm(); return err }
			asks["cgroup"] = func() error { _, err := p.Read("cgroup"); return err }
			asks["open"] = func() error {
				_, err := procfs.Root("").Open(c.pid)
				return err
			}
		}
		for what, ask := range asks {
			if err := ask(); !errors.Is(err, procfs.ErrGone) {
				t.Errorf("%s, %s: %v, want ErrGone", state, what, err)
			}
		}
	}
	c.die(t)
	checkGone("zombie")
	if stat, err := p.Stat(); err != nil || stat.State != 'Z' {
		t.Errorf("the zombie's stat is %+v, %v", stat, err)
	}
	c.end()
	checkGone("reaped")
}

// TestUnprivileged looks at a process of root with the eyes of another user.
func TestUnprivileged(t *testing.T) {
	needRoot(t, "cannot become another user")
	c := sockets(t, 50)
	want, err := open(t, c.pid).OpenCount()
	if err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said := start(t, fmt.Sprint("look ", c.pid), "ready", nobody).said
	expect := []string{fmt.Sprintf("count %d <nil>", want), "files true true",
		"netns true true", "limits true"}
	if !sizedDirectories(t) {
		said, expect = said[1:], expect[1:] // before 6.2 the count needs permission too
	}
	if diff := cmp.Diff(expect, said); diff != "" {
		t.Errorf("nobody sees (-want +got):\n%s", diff)
	}
}

// TestOutOfFiles: what could not be read for want of a descriptor is not taken
// for a process that has ended.
func TestOutOfFiles(t *testing.T) {
	c := start(t, "headless 20", "headless", nil)
	said := start(t, fmt.Sprint("starve ", c.pid), "ready", nil).said
	if diff := cmp.Diff([]string{"count true false", "files true false", "stat true false"},
		said); diff != "" {
		t.Errorf("without a descriptor (-want +got):\n%s", diff)
	}
}

// sizedDirectories reports whether this kernel counts descriptors as a size.
func sizedDirectories(t *testing.T) bool {
	t.Helper()
	info, err := os.Stat("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size() > 0
}

// BenchmarkSockets walks a process with 19,900 sockets again and again. The
// first walk is reported apart: the kernel's directory cache is empty then, as
// it is for the one walk that check makes.
func BenchmarkSockets(b *testing.B) {
	p := open(b, sockets(b, 19900).pid)
	each := func(int, uint32) bool { return true }
	walk := func() int {
		f := files(b, p)
		read, complete, err := f.Sockets(0, each)
		if !complete || err != nil {
			b.Fatal(complete, err)
		}
		return read
	}
	b.ReportAllocs()
	first, total := true, 0
	for b.Loop() {
		total += walk()
		if first {
			first = false
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total),
				"first-ns/fd")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/fd")
}

func BenchmarkOpenCount(b *testing.B) {
	p := open(b, sockets(b, 19900).pid)
	for b.Loop() {
		if n, err := p.OpenCount(); n < 19900 || err != nil {
			b.Fatal(n, err)
		}
	}
}
