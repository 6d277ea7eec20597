//go:build linux

package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Spec says who makes how many tasks under which limit.
type Spec struct {
	UID    int    // user that makes them; 0: the present one
	Own    bool   // in a user namespace of his own, to which the limit is given
	Limit  uint64 // RLIMIT_NPROC, soft and hard; 0: as it is
	Cgroup string // path of a cgroup.procs file to join first; "": none
	Most   int    // tasks after which to stop, at most MaxTasks
}

// MaxTasks bounds what Fill makes.
const MaxTasks = 2048

// Result is what came of it. All tasks are gone.
type Result struct {
	Made  int           `json:"made"`  // tasks besides the one that made them
	Errno syscall.Errno `json:"errno"` // why there were not more; 0: Most was reached
	// Load is /proc/loadavg at that moment; its fourth field has all tasks of the host.
	Load string `json:"load"`
}

// Fill makes tasks one after the other until the kernel refuses or there are Most, and ends
// them again.
func Fill(s Spec) (Result, error) {
	f := &filler{
		uid:   s.UID,
		own:   s.Own,
		limit: unix.Rlimit{Cur: s.Limit, Max: s.Limit},
		most:  min(s.Most, MaxTasks),
		join:  -1,
	}
	copy(f.load[:], "/proc/loadavg\x00")
	copy(f.zero[:], "0")
	if s.Cgroup != "" {
		procs, err := os.OpenFile(s.Cgroup, os.O_WRONLY, 0)
		if err != nil {
			return Result{}, fmt.Errorf("make tasks: %w", err)
		}
		defer procs.Close()
		f.join = int(procs.Fd())
	}
	r, w, err := os.Pipe()
	if err != nil {
		return Result{}, fmt.Errorf("make tasks: %w", err)
	}
	defer r.Close()
	f.out = int(w.Fd())
	pid, errno := f.start()
	w.Close()
	if errno != 0 {
		return Result{}, fmt.Errorf("make tasks: clone: %w", errno)
	}
	report := make([]byte, reportSize)
	n, err := r.Read(report)
	waitErr := wait(pid)
	if err != nil || n != reportSize {
		return Result{}, fmt.Errorf("make tasks: the maker ended early: %w",
			errors.Join(err, waitErr))
	}
	return parse(report)
}

func parse(b []byte) (Result, error) {
	step, errno := binary.NativeEndian.Uint64(b),
		syscall.Errno(binary.NativeEndian.Uint64(b[8:]))
	if step != 0 {
		return Result{}, fmt.Errorf("make tasks: %s: %w",
			steps[min(step, uint64(len(steps)-1))], errno)
	}
	load := b[24:]
	if n := binary.NativeEndian.Uint64(b[16:]); n <= MaxTasks {
		end := 0
		for end < len(load) && load[end] != 0 && load[end] != '\n' {
			end++
		}
		return Result{Made: int(n), Errno: errno, Load: string(load[:end])}, nil
	}
	return Result{}, errors.New("make tasks: the maker counted wrongly")
}

// wait collects the maker, a child that the runtime does not know of.
func wait(pid int) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// filler is all memory that the maker uses; it was there before the copy.
type filler struct {
	uid, most, join, out int
	own                  bool
	limit                unix.Rlimit
	zero                 [2]byte
	load                 [64]byte
	report               [reportSize]byte
	pids                 [MaxTasks]uintptr
}

// reportSize: the step that failed (0: none), errno, tasks made, and the text of /proc/loadavg.
const reportSize = 3*8 + 64

// steps are what the maker does before it makes tasks, as their numbers in the report.
var steps = [...]string{"", "join the cgroup", "set RLIMIT_NPROC", "change the user",
	"make a user namespace", "step"}

// start makes the copy of this process that makes the tasks. As in syscall.forkExec, the
// child must not allocate, grow its stack or take a lock: other threads of the runtime do
// not exist in it.
//
//go:norace
func (f *filler) start() (pid int, errno syscall.Errno) {
	p, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0,
		0)
	if errno != 0 {
		return 0, errno
	}
	if p == 0 {
		f.run()
	}
	return int(p), 0
}

// run never returns.
//
//go:nosplit
//go:norace
func (f *filler) run() {
	dieWithParent()
	step, errno := f.prepare()
	made := 0
	for step == 0 && made < f.most {
		var p uintptr
		p, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0,
			0, 0, 0)
		if errno != 0 {
			break
		}
		if p == 0 {
			idle()
		}
		f.pids[made] = p
		made++
	}
	f.readLoad()
	for i := 0; i < made; i++ {
		syscall.RawSyscall(syscall.SYS_KILL, f.pids[i], uintptr(syscall.SIGKILL), 0)
		syscall.RawSyscall6(syscall.SYS_WAIT4, f.pids[i], 0, 0, 0, 0, 0)
	}
	binary.NativeEndian.PutUint64(f.report[0:], uint64(step))
	binary.NativeEndian.PutUint64(f.report[8:], uint64(errno))
	binary.NativeEndian.PutUint64(f.report[16:], uint64(made))
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(f.out), uintptr(unsafe.Pointer(&f.report)),
		reportSize)
	for {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// prepare gives the number of the step that failed, 0 for none.
//
//go:nosplit
//go:norace
func (f *filler) prepare() (step int, errno syscall.Errno) {
	if f.join >= 0 {
		if _, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(f.join),
			uintptr(unsafe.Pointer(&f.zero)), 1); errno != 0 {
			return 1, errno
		}
	}
	if f.limit.Cur > 0 && !f.own {
		if errno = f.setLimit(); errno != 0 {
			return 2, errno
		}
	}
	if f.uid > 0 {
		if _, _, errno = syscall.RawSyscall(syscall.SYS_SETUID, uintptr(f.uid), 0,
			0); errno != 0 {
			return 3, errno
		}
		dieWithParent() // another user clears it (kernel/cred.c commit_creds)
	}
	if f.own { // a limit of before would bound the namespace as well (create_user_ns)
		if _, _, errno = syscall.RawSyscall(syscall.SYS_UNSHARE, unix.CLONE_NEWUSER, 0,
			0); errno != 0 {
			return 4, errno
		}
		if errno = f.setLimit(); errno != 0 {
			return 2, errno
		}
	}
	return 0, 0
}

//go:nosplit
//go:norace
func (f *filler) setLimit() syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, 0, unix.RLIMIT_NPROC,
		uintptr(unsafe.Pointer(&f.limit)), 0, 0, 0)
	return errno
}

//go:nosplit
//go:norace
func (f *filler) readLoad() {
	// AT_FDCWD is -100
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, ^uintptr(99),
		uintptr(unsafe.Pointer(&f.load)), syscall.O_RDONLY, 0, 0, 0)
	if errno == 0 {
		syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&f.report[24])), 63)
	}
}

//go:nosplit
//go:norace
func dieWithParent() {
	syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
}

// idle waits to be killed.
//
//go:nosplit
//go:norace
func idle() {
	dieWithParent()
	if p, _, _ := syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0); p == 1 {
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0) // the maker was gone before
	}
	for {
		syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}
