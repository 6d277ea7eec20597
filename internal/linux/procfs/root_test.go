package procfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// tree makes a directory of files, as a copy of /proc would be.
func tree(t *testing.T, files map[string]string) procfs.Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		link, isLink := strings.CutPrefix(content, "-> ")
		write := func() error { return os.WriteFile(path, []byte(content), 0o644) }
		if isLink {
			write = func() error { return os.Symlink(link, path) }
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return procfs.Root(dir)
}

func TestSysctl(t *testing.T) {
	root := tree(t, map[string]string{
		"sys/net/ipv4/tcp_rmem":                "4096\t131072\t33554432\n",
		"sys/net/ipv4/conf/eth0.100/rp_filter": "2\n",
		"sys/net/ipv4/ip_local_reserved_ports": "\n",
		"sys/kernel/broken":                    "1\x002\n",
	})
	for key, want := range map[string]string{
		"net.ipv4.tcp_rmem":                "4096 131072 33554432",
		"net/ipv4/tcp_rmem":                "4096 131072 33554432",
		"net.ipv4.conf.eth0/100.rp_filter": "2",
		"net/ipv4/conf/eth0.100/rp_filter": "2",
		"net.ipv4.ip_local_reserved_ports": "",
	} {
		if got, err := root.Sysctl(key); got != want || err != nil {
			t.Errorf("%s: got %q %v, want %q", key, got, err, want)
		}
	}
	if _, err := root.Sysctl("net.ipv4.tcp_tw_recycle"); !errors.Is(err, fs.ErrNotExist) ||
		!errors.Is(err, unix.ENOENT) {
		t.Errorf("a key that does not exist: %v", err)
	}
	if _, err := root.Sysctl("net.ipv4"); err == nil {
		t.Error("a directory has a value")
	}
	if _, err := root.Sysctl("kernel.broken"); err == nil ||
		strings.Contains(err.Error(), "\x00") {
		t.Errorf("a value with a 0 byte: %v", err)
	}
	for _, key := range []string{"", ".", "..", "net..ipv4", "../meminfo", "net/../../meminfo",
		"//../../meminfo"} {
		if got, err := root.Sysctl(key); err == nil {
			t.Errorf("key %q: got %q", key, got)
		}
	}
}

// TestReadErrors keeps apart what is absent and what is forbidden.
func TestReadErrors(t *testing.T) {
	if _, err := procfs.Root("").Read("net/tcp_no_such"); !errors.Is(err, unix.ENOENT) ||
		errors.Is(err, procfs.ErrGone) {
		t.Errorf("absent: %v", err)
	}
	p := open(t, os.Getpid())
	if _, err := p.Read("no_such"); !errors.Is(err, unix.ENOENT) ||
		errors.Is(err, procfs.ErrGone) {
		t.Errorf("absent in a living process: %v", err)
	}
	// A sysctl that can be written and not read, for root as well.
	if _, err := procfs.Root("").Sysctl("net.ipv4.route.flush"); !errors.Is(err, unix.EACCES) ||
		!errors.Is(err, fs.ErrPermission) {
		t.Errorf("forbidden: %v", err)
	}
}

// TestSysctlLongList reads a list that neither a first read of 4096 bytes nor a
// page holds. The kernel does not continue such a list at a second read.
func TestSysctlLongList(t *testing.T) {
	needRoot(t, "cannot make a network namespace")
	var list []string
	for port := 1025; port < 65536; port += 2 {
		list = append(list, fmt.Sprint(port))
	}
	want := strings.Join(list, ",")
	inNewNetwork(t, func() error {
		const file = "/proc/sys/net/ipv4/ip_local_reserved_ports"
		if err := os.WriteFile(file, []byte(want+"\n"), 0o644); err != nil {
			return err
		}
		got, err := procfs.Root("").Sysctl("net.ipv4.ip_local_reserved_ports")
		if b, errRead := procfs.Root("").Read(
			"sys/net/ipv4/ip_local_reserved_ports"); string(b) != want+"\n" {
			return fmt.Errorf("Read: %d bytes, %v", len(b), errRead)
		}
		if err == nil && got != want {
			err = fmt.Errorf("%d bytes read, %d written; the last are %q", len(got),
				len(want), got[max(0, len(got)-20):])
		}
		return err
	})
}

// inNewNetwork runs a function on a thread of its own that has a new network
// namespace. Both end with it.
func inNewNetwork(t *testing.T, run func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- run()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestPIDs(t *testing.T) {
	pids, err := procfs.Root("").PIDs()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(pids) || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("%v is not sorted, or lacks this process %d", pids, os.Getpid())
	}
	root := tree(t, map[string]string{
		"10/comm":          "a\n",
		"9/comm":           "b\n",
		"0/comm":           "",
		"1x/comm":          "",
		"self/comm":        "",
		"99999999999/comm": "",
	})
	if pids, err := root.PIDs(); !slices.Equal(pids, []int{9, 10}) || err != nil {
		t.Errorf("got %v %v, want [9 10]", pids, err)
	}
	if _, err := procfs.Root(t.TempDir() + "/none").PIDs(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
}

// TestSelf reads this very process and compares with what it knows of itself.
func TestSelf(t *testing.T) {
	p := open(t, os.Getpid())
	status, err := p.Status()
	if err != nil || status.PID != os.Getpid() ||
		status.UIDs[procfs.EffectiveUID] != uint32(os.Geteuid()) {
		t.Errorf("status %+v, %v", status, err)
	}
	stat, err := p.Stat()
	if err != nil || stat.PID != os.Getpid() || stat.Comm != status.Name ||
		stat.StartTime == 0 || stat.Threads < 1 {
		t.Errorf("stat %+v, %v", stat, err)
	}
	if comm, err := p.Comm(); comm != status.Name || err != nil {
		t.Errorf("comm %q, %v; status has %q", comm, err, status.Name)
	}
	var want unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &want); err != nil {
		t.Fatal(err)
	}
	limits, err := p.Limits()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := limits.Named("Max open files")
	if !ok || got.Soft.N != want.Cur || got.Hard.N != want.Max {
		t.Errorf("limit %+v, want %+v", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	if ns, err := p.NetNS(); ns != (procfs.NetNS{Dev: uint64(st.Dev), Ino: st.Ino}) ||
		err != nil {
		t.Errorf("namespace %+v %v, want %d:%d", ns, err, st.Dev, st.Ino)
	}
}

// TestThisKernel parses what the running kernel prints.
func TestThisKernel(t *testing.T) {
	for file, parser := range map[string]string{
		"net/netstat": "counters", "net/snmp": "counters", "net/sockstat": "sockstat",
		"net/sockstat6":    "sockstat",
		"net/softnet_stat": "softnet", "net/stat/nf_conntrack": "table",
		"net/stat/arp_cache":   "table",
		"net/stat/ndisc_cache": "table", "net/protocols": "protocols",
		"slabinfo": "slabinfo",
		"meminfo":  "meminfo", "stat": "stat", "loadavg": "loadavg",
	} {
		b, err := procfs.Root("").Read(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			t.Logf("not here: %v", err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if err := parsers()[parser](b); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestEveryProcess parses the files of all processes of this host. Those that
// end meanwhile may say so, and nothing else may fail.
func TestEveryProcess(t *testing.T) {
	pids, err := procfs.Root("").PIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		p, err := procfs.Root("").Open(pid)
		if errors.Is(err, procfs.ErrGone) {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		_, errStatus := p.Status()
		_, errStat := p.Stat()
		_, errLimits := p.Limits()
		_, errComm := p.Comm()
		_, errCount := p.OpenCount()
		for _, err := range []error{errStatus, errStat, errLimits, errComm, errCount} {
			if err != nil && !errors.Is(err, procfs.ErrGone) &&
				!errors.Is(err, fs.ErrPermission) {
				t.Error(err)
			}
		}
		p.Close()
	}
}

// TestTree reads a process from a copy of /proc: descriptors are counted by
// entries there, whatever size the directory has.
func TestTree(t *testing.T) {
	root := tree(t, map[string]string{
		"12/comm": "nginx\n", "12/limits": "garbage\n",
		"12/fd/0": "-> /dev/null", "12/fd/3": "-> socket:[4026531999]",
		"12/fd/7": "-> pipe:[5]",
		"12/fd/8": "-> socket:[4294967296]", "12/fd/9": "-> socket:[5]x",
		"12/fd/10": "-> socket:[]",
	})
	p, err := root.Open(12)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n, err := p.OpenCount(); n != 6 || err != nil {
		t.Errorf("%d open, %v; want 6", n, err)
	}
	got, n := walk(t, files(t, p), 1)
	if diff := cmp.Diff(map[int]uint32{3: 4026531999}, got); diff != "" || n != 6 {
		t.Errorf("%d descriptors; sockets (-want +got):\n%s", n, diff)
	}
	var refusal *procfs.ParseError
	if _, err := p.Limits(); !errors.As(err, &refusal) || errors.Is(err, procfs.ErrGone) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := p.Stat(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, procfs.ErrGone) {
		t.Errorf("a file that the copy lacks: %v", err)
	}
	if _, err := root.Open(13); !errors.Is(err, procfs.ErrGone) {
		t.Errorf("a process that is not there: %v", err)
	}
}

// TestReusedPID puts another directory in the place of the one that is held, as
// when a pid is given to another process.
func TestReusedPID(t *testing.T) {
	root := tree(t, map[string]string{"12/comm": "old\n"})
	p, err := root.Open(12)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := filepath.Join(string(root), "12")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "limits"), []byte("of the new process\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Limits(); !errors.Is(err, procfs.ErrGone) {
		t.Errorf("limits: %v, want ErrGone", err)
	}
}
