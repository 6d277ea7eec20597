//go:build linux

package tune

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Files are the two values of RLIMIT_NOFILE, in descriptors.
type Files struct{ Soft, Hard uint64 }

// Prlimit sets RLIMIT_NOFILE, in descriptors, of a running process (0: the own
// one) and reads it back. It acts on the next descriptor the process opens. Within
// the hard limit it takes the same user; raising the hard limit takes
// CAP_SYS_RESOURCE in the first user namespace and hard <= fs.nr_open, or it is
// EPERM (kernel/sys.c do_prlimit).
func Prlimit(pid int, soft, hard uint64) error {
	return PrlimitHeld(pid, func() bool { return true }, Files{}, Files{soft, hard})
}

// PrlimitHeld is Prlimit on a process that somebody holds (pidfd_open(2)): running says
// whether it has not ended, and was are the limits that it has. Where it has ended the
// error is ESRCH.
//
// prlimit(2) takes a number, and there is no form of it for a descriptor. Between the look
// at the process and the call it may end, be waited for, and its number be given to
// another: that takes a process that is made in this moment and the number being the next
// one (kernel/pid.c alloc_pid goes round). So the process is looked at again right after
// the call, and where it is gone by then, a process that has the number and was hit gets
// its limits back: the call returns what they were. Another process is hit for sure where
// that differs from was; where it had the same limits before, they stay raised.
func PrlimitHeld(pid int, running func() bool, was, want Files) error {
	set, old := unix.Rlimit{Cur: want.Soft, Max: want.Hard}, unix.Rlimit{}
	fail := &Error{
		Op:      "set RLIMIT_NOFILE",
		Subject: fmt.Sprintf("of process %d", pid),
		Want:    spell(set),
	}
	if !running() {
		fail.Err = unix.ESRCH
		return fail
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &set, &old); err != nil {
		fail.Err = err
		return fail
	}
	if !running() {
		if old != (unix.Rlimit{Cur: was.Soft, Max: was.Hard}) {
			// it may have ended, too
			_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil)
		}
		fail.Err = unix.ESRCH
		return fail
	}
	return readBack(pid, set, fail)
}

// readBack compares; fail is the error to be completed.
func readBack(pid int, want unix.Rlimit, fail *Error) error {
	var got unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &got); err != nil {
		fail.Op, fail.Err = "read back RLIMIT_NOFILE", err
		return fail
	}
	if got != want {
		fail.Got = spell(got)
		return fail
	}
	return nil
}

func spell(l unix.Rlimit) string { return fmt.Sprintf("%d:%d", l.Cur, l.Max) }
