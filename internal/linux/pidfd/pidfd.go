//go:build linux

// Package pidfd holds a running process by a descriptor and takes copies of its
// descriptors. A pid may be somebody else's by the time it is used; what is
// done through a descriptor happens to the process that was opened or not at all.
//
// Sources: pidfd_open(2), Linux 5.3; pidfd_getfd(2), Linux 5.6 (kernel/pid.c).
package pidfd

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Error is the only error type of this package. Err is the errno.
type Error struct {
	Op  string // "open", "copy descriptor 5 of"
	PID int
	Err error
}

// Error says what was tried on which process, and for a lack of rights which are missing.
func (e *Error) Error() string {
	return fmt.Sprintf("%s process %d: %s", e.Op, e.PID, e.reason())
}

func (e *Error) reason() string {
	switch {
	case errors.Is(e.Err, unix.EPERM):
		// ptrace_may_access(PTRACE_MODE_ATTACH_REALCREDS) in kernel/pid.c
		// __pidfd_fget; Yama adds ptrace_scope.
		return "operation not permitted: it takes the right to trace the process: " +
			"CAP_SYS_PTRACE, or the same user where kernel.yama.ptrace_scope is 0 " +
			"or absent"
	case errors.Is(e.Err, unix.ENOSYS):
		return "this kernel is older than 5.6 and cannot copy a descriptor out of a " +
			"running process"
	case errors.Is(e.Err, unix.ESRCH):
		return "the process is gone"
	}
	return e.Err.Error()
}

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Err }

// Process is a process held by a descriptor. Its methods may be called
// concurrently, but not with Close.
type Process struct {
	pid int
	fd  int
}

// Open holds a process. Compare its start time after this call: from here on it
// cannot be mistaken for another.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, &Error{Op: "open", PID: pid, Err: err}
	}
	return &Process{pid: pid, fd: fd}, nil
}

// Close lets the process go.
func (p *Process) Close() error { return unix.Close(p.fd) }

// Running reports whether the process has not ended: the descriptor of one that has
// is readable (kernel/fork.c pidfd_poll).
func (p *Process) Running() bool {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		// A signal that is pending ends even a poll that does not wait (fs/select.c
		// do_poll), and the Go runtime sends itself many.
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n == 0
		}
	}
}

// SocketCookie is the kernel's number of a socket, which no other socket of this boot has had or
// will have, other than an inode number (net/core/sock_diag.c __sock_gen_cookie; getsockopt
// SO_COOKIE, Linux 4.12). It is 0 for a socket of MPTCP: what listens and is seen by sock_diag is
// its first subflow, which has a number of its own (net/mptcp/protocol.c __mptcp_nmpc_sk).
func SocketCookie(f *os.File) (cookie uint64, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := conn.Control(func(fd uintptr) {
		var protocol int
		protocol, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err == nil && protocol != unix.IPPROTO_MPTCP {
			cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET,
				unix.SO_COOKIE)
		}
	})
	return cookie, errors.Join(ctlErr, err)
}

// Copy duplicates a descriptor of the process into this one, close-on-exec. Both refer to
// the same open file, so what is done to a socket through the copy is done to the socket.
// It takes the right to trace the process.
func (p *Process) Copy(fd int) (*os.File, error) {
	own, err := unix.PidfdGetfd(p.fd, fd, 0)
	if err != nil {
		return nil, &Error{Op: fmt.Sprintf("copy descriptor %d of", fd), PID: p.pid,
			Err: err}
	}
	return os.NewFile(uintptr(own), fmt.Sprintf("descriptor %d of process %d", fd, p.pid)), nil
}
