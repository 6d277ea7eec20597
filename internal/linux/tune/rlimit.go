//go:build linux

package tune

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

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

// Listen calls listen(2) again on a socket that listens already, which changes the limit of
// its accept queue at once, both ways, and keeps what is queued (net/ipv4/af_inet.c
// inet_listen). The kernel keeps min(backlog, somaxconn of the socket's namespace); then
// the error says what was kept. A socket that does not listen is refused with EINVAL and
// stays as it is.
//
// The limit is read back with getsockopt(TCP_INFO), where tcpi_sacked is the limit of a
// listener (net/ipv4/tcp.c tcp_get_info).
func Listen(socket *os.File, backlog uint32) error {
	fail := &Error{
		Op:      "listen() again on",
		Subject: socket.Name(),
		Want:    strconv.FormatUint(uint64(backlog), 10),
	}
	conn, err := socket.SyscallConn()
	if err != nil {
		fail.Err = err
		return fail
	}
	if ctlErr := conn.Control(func(fd uintptr) {
		err = listen(int(fd), backlog, fail)
	}); ctlErr != nil {
		fail.Err = ctlErr
		return fail
	}
	return err
}

func listen(fd int, backlog uint32, fail *Error) error {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening == 0 {
		err = fmt.Errorf("the socket does not listen: %w", unix.EINVAL)
	}
	if err == nil {
		err = unix.Listen(fd, int(int32(backlog))) // the kernel compares without a sign
	}
	if err != nil {
		fail.Err = err
		return fail
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		fail.Op, fail.Err = "read back the limit of", err
		return fail
	}
	if info.Sacked != backlog {
		fail.Got = strconv.FormatUint(uint64(info.Sacked), 10)
		return fail
	}
	return nil
}

// Cgroup makes a cgroup of version 2 below a mounted hierarchy and gives it settings (file
// -> value, such as pids.max). Controllers are switched on in the parent. It outlives the
// process: RemoveCgroup ends it.
func Cgroup(path string, controllers []string, settings map[string]string) error {
	parent := filepath.Dir(path)
	for _, c := range controllers {
		if err := cgroupWrite(filepath.Join(parent, "cgroup.subtree_control"),
			"+"+c); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return &Error{Op: "make cgroup", Subject: path, Err: bare(err)}
	}
	for file, value := range settings {
		if err := cgroupWrite(filepath.Join(path, file), value); err != nil {
			return err
		}
	}
	return nil
}

// JoinCgroup moves a process into a cgroup.
func JoinCgroup(path string, pid int) error {
	return cgroupWrite(filepath.Join(path, "cgroup.procs"), strconv.Itoa(pid))
}

// RemoveCgroup removes a cgroup without processes.
func RemoveCgroup(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return &Error{Op: "remove cgroup", Subject: path, Err: bare(err)}
	}
	return nil
}

func cgroupWrite(file, value string) error {
	if err := writeOnce(file, value); err != nil {
		return &Error{Op: "write", Subject: file, Want: value, Err: err}
	}
	return nil
}
