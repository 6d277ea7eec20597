package apply

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/plan"
)

// cloneArgs is struct clone_args of clone3(2) up to set_tid_size.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls, setTID, setTIDSize     uint64
}

// startAs starts /bin/sleep with a process ID of one's choice (clone3 set_tid, Linux 5.5), as a
// checkpointed process comes back. It takes CAP_CHECKPOINT_RESTORE.
func startAs(pid int) syscall.Errno {
	tid := int32(pid)
	args := &cloneArgs{
		exitSignal: uint64(syscall.SIGCHLD),
		setTID:     uint64(uintptr(unsafe.Pointer(&tid))),
		setTIDSize: 1,
	}
	path, _ := syscall.BytePtrFromString("/bin/sleep")
	word, _ := syscall.BytePtrFromString("600")
	argv, env := []*byte{path, word, nil}, []*byte{nil}
	p, _, errno := cloneExec(args, path, &argv[0], &env[0])
	if errno == 0 && int(p) != pid {
		return syscall.EEXIST
	}
	return errno
}

// cloneExec is what syscall.forkExec does: the child must not allocate, grow its stack or take a
// lock.
//
//go:noinline
//go:norace
//go:nosplit
func cloneExec(
	args *cloneArgs,
	path *byte,
	argv, env **byte,
) (pid, r uintptr, errno syscall.Errno) {
	pid, r, errno = syscall.RawSyscall(
		unix.SYS_CLONE3,
		uintptr(unsafe.Pointer(args)),
		unsafe.Sizeof(*args),
		0,
	)
	if errno != 0 || pid != 0 {
		return pid, r, errno
	}
	syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	syscall.RawSyscall(
		syscall.SYS_EXECVE,
		uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(argv)),
		uintptr(unsafe.Pointer(env)),
	)
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// A process ends between the check and the write, and its number is given to another one, which
// even started within the same clock tick. The other one keeps its limits.
func TestNumberOfAProcessComesBack(t *testing.T) {
	for range 200 {
		switch same, errno := numberComesBack(t); {
		case errno == syscall.EPERM || errno == syscall.ENOSYS || errno == syscall.EINVAL:
			t.Skipf("a process ID cannot be chosen here (clone3): %v", errno)
		case t.Failed() || errno == 0 && same:
			return
		}
	}
	t.Error("no two processes started within one tick")
}

// numberComesBack says whether both processes started within one tick.
func numberComesBack(t *testing.T) (same bool, errno syscall.Errno) {
	e, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	first := sleeper(t)
	pid := first.Process.Pid
	target := plan.Target{
		Kind:  host.ProcessKind,
		Name:  strconv.Itoa(pid),
		Field: fieldSoft,
		Start: startOf(pid),
	}
	if _, err := e.Kernel.Read(target); err != nil { // the check
		t.Fatal(err)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	if errno := startAs(pid); errno != 0 {
		return false, errno
	}
	defer func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}()
	same = startOf(pid) == target.Start
	before := filesLimitOf(t, pid)
	if err := e.Kernel.Write(target, "77"); !errors.Is(err, ErrGone) {
		t.Errorf("write: %v", err)
	}
	if after := filesLimitOf(t, pid); after != before {
		t.Errorf("the other process has %v, had %v", after, before)
	}
	return same, 0
}

func filesLimitOf(t *testing.T, pid int) procfs.ResourceLimit {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	limits, err := procfs.ParseLimits(text)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := limits.Named(filesLimit)
	return l
}
