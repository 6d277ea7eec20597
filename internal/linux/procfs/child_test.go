package procfs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/procfs"
	"golang.org/x/sys/unix"
)

// The tests look at processes of their own making: this test binary again, told
// by childEnv what to be. A child says on its standard output when it is ready
// and ends when its standard input does.
const childEnv = "MAXCONN_PROCFS_CHILD"

// init keeps the first thread of the process for the main goroutine. "headless"
// ends it; and a test that enters a new network namespace must not be given it,
// for it does not end with a goroutine and would stay there.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	role, arg, _ := strings.Cut(os.Getenv(childEnv), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "sockets":
		beSockets(arg)
	case "gap":
		beGapped(arg)
	case "headless":
		beHeadless(arg)
	case "look":
		beLooking(arg)
	case "starve":
		beStarving(arg)
	}
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// beSockets opens sockets and prints the inode number of each.
func beSockets(arg string) {
	n, err := strconv.Atoi(arg)
	check(err)
	out := bufio.NewWriter(os.Stdout)
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(err)
		var st unix.Stat_t
		check(unix.Fstat(fd, &st))
		fmt.Fprintln(out, fd, st.Ino)
	}
	fmt.Fprintln(out, "ready")
	check(out.Flush())
}

// beGapped opens sockets as beSockets does, after it has made room for more
// descriptors: "low" has no further one, "high" another at the end.
func beGapped(arg string) {
	end, count, _ := strings.Cut(arg, " ")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	const last = 4000
	check(unix.Dup3(fd, last, unix.O_CLOEXEC))
	var st unix.Stat_t
	check(unix.Fstat(fd, &st))
	check(unix.Close(fd))
	if end == "low" {
		check(unix.Close(last))
	} else {
		fmt.Println(last, st.Ino)
	}
	beSockets(count)
}

// beHeadless does what beSockets does and then ends its first thread only.
func beHeadless(arg string) {
	go func() {
		for {
			b, err := os.ReadFile("/proc/self/stat")
			check(err)
			if strings.Contains(string(b), ") Z ") {
				break
			}
			runtime.Gosched()
		}
		fmt.Println("headless")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	beSockets(arg)
	unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// beLooking prints what this user can learn of another's process.
func beLooking(arg string) {
	pid, err := strconv.Atoi(arg)
	check(err)
	p, err := procfs.Root("").Open(pid)
	check(err)
	count, err := p.OpenCount()
	fmt.Println("count", count, err)
	_, err = p.Files()
	fmt.Println("files", errors.Is(err, os.ErrPermission), errors.Is(err, unix.EACCES))
	_, err = p.NetNS()
	fmt.Println("netns", errors.Is(err, os.ErrPermission), errors.Is(err, unix.EACCES))
	_, err = p.Limits()
	fmt.Println("limits", err == nil)
	fmt.Println("ready")
}

// beStarving prints what can be learned of a process whose first thread has
// exited when no descriptor is left to read with.
func beStarving(arg string) {
	pid, err := strconv.Atoi(arg)
	check(err)
	p, err := procfs.Root("").Open(pid)
	check(err)
	check(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3}))
	_, err = p.OpenCount()
	fmt.Println("count", errors.Is(err, unix.EMFILE), errors.Is(err, procfs.ErrGone))
	_, err = p.Files()
	fmt.Println("files", errors.Is(err, unix.EMFILE), errors.Is(err, procfs.ErrGone))
	_, err = p.Stat()
	fmt.Println("stat", errors.Is(err, unix.EMFILE), errors.Is(err, procfs.ErrGone))
	fmt.Println("ready")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is a process that a test made.
type child struct {
	pid   int
	said  []string // its lines before the one that says it is ready
	cmd   *exec.Cmd
	stdin io.Closer
}

// start makes a child and waits for the line that says it is ready.
func start(t testing.TB, role, ready string, attr *syscall.SysProcAttr) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{pid: cmd.Process.Pid, cmd: cmd, stdin: stdin}
	t.Cleanup(c.end)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == ready {
			return c
		}
		c.said = append(c.said, lines.Text())
	}
	t.Fatalf("child %q ended before it was ready", role)
	return nil
}

// sockets starts a child with that many sockets.
func sockets(t testing.TB, n int) *child {
	t.Helper()
	return start(t, fmt.Sprint("sockets ", n), "ready", nil)
}

// inodes returns the child's sockets by descriptor.
func (c *child) inodes(t testing.TB) map[int]uint32 {
	t.Helper()
	all := make(map[int]uint32)
	for _, line := range c.said {
		var fd int
		var inode uint32
		if n, _ := fmt.Sscan(line, &fd, &inode); n == 2 {
			all[fd] = inode
		}
	}
	return all
}

// end ends the child and takes its remains.
func (c *child) end() {
	c.stdin.Close()
	c.cmd.Wait()
}

// die ends the child but leaves it a zombie.
func (c *child) die(t *testing.T) {
	t.Helper()
	c.stdin.Close()
	if err := unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// open holds a process by the default root.
func open(t testing.TB, pid int) *procfs.Process {
	t.Helper()
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// files begins a walk.
func files(t testing.TB, p *procfs.Process) *procfs.Files {
	t.Helper()
	f, err := p.Files()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// needRoot skips a test that an ordinary user cannot run, or fails it where
// MAXCONN_REQUIRE says that the lab must be there.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Fatal("not root: " + why)
	}
	t.Skip("not root: " + why)
}
