//go:build linux

package tune

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Prlimit sets RLIMIT_NOFILE, in descriptors, of a running process (0: the own
// one) and reads it back. It acts on the next descriptor the process opens. Within
// the hard limit it takes the same user; raising the hard limit takes
// CAP_SYS_RESOURCE in the first user namespace and hard <= fs.nr_open, or it is
// EPERM (kernel/sys.c do_prlimit).
func Prlimit(pid int, soft, hard uint64) error {
	want := unix.Rlimit{Cur: soft, Max: hard}
	fail := &Error{Op: "set RLIMIT_NOFILE", Subject: fmt.Sprintf("of process %d", pid), Want: spell(want)}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &want, nil); err != nil {
		fail.Err = err
		return fail
	}
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
