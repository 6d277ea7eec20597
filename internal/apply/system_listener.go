package apply

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// listeners asks the kernel for the listening sockets on one port (0: all) of the calling
// thread's namespace.
func listeners(port uint16, each func(*sockdiag.Socket)) error {
	c, err := sockdiag.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Dump(sockdiag.Request{States: 1 << sockdiag.Listen, SourcePort: port},
		func(s *sockdiag.Socket) error {
			each(s)
			return nil
		})
}

// socketOf finds the listening socket of a target by its inode.
func socketOf(t plan.Target) (found sockdiag.Socket, err error) {
	at, err := listenerAddress(t.Name)
	if err != nil {
		return found, err
	}
	ok := false
	err = listeners(at.Port(), func(s *sockdiag.Socket) {
		if s.HasOwner && uint64(s.Inode) == t.Inode &&
			(t.Cookie == 0 || s.Cookie == t.Cookie) {
			found, ok = *s, true
		}
	})
	if err == nil && !ok {
		err = fmt.Errorf("the socket does not listen any more: %w", ErrGone)
	}
	return found, err
}

func readListener(t plan.Target) (string, error) {
	s, err := socketOf(t)
	return strconv.FormatUint(uint64(s.SendQueue), 10), err
}

func (s *System) writeListener(t plan.Target, value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return errNotNumber
	}
	again := func(f *os.File) error { return tune.Listen(f, uint32(n)) }
	if err := s.withListener(t, again); err != nil {
		return err
	}
	now, err := socketOf(t)
	if err == nil && uint64(now.SendQueue) != n {
		return &tune.Error{
			Op:      "listen() again on",
			Subject: t.Name,
			Want:    value,
			Got:     strconv.FormatUint(uint64(now.SendQueue), 10),
		}
	}
	return err
}

// withListener runs fn on a copy of the socket, taken out of the running process: what fn does
// happens to the socket that was compared. The copy is not kept longer: it would keep the socket
// listening, and its port taken, after the program has closed it.
func (s *System) withListener(t plan.Target, fn func(*os.File) error) error {
	held, err := s.processes.hold(int(t.PID), t.Start)
	if err != nil {
		return err
	}
	if held.fd == nil {
		return &pidfd.Error{Op: "open", PID: int(t.PID), Err: syscall.ENOSYS}
	}
	fd, err := descriptorOf(held.dir, t.Inode)
	if err != nil {
		return err
	}
	f, err := held.fd.Copy(fd)
	if err != nil {
		return err
	}
	defer f.Close()
	// The number may have come to mean another socket since it was read.
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil || link != fmt.Sprintf("socket:[%d]", t.Inode) {
		return fmt.Errorf("the process closed the socket meanwhile: %w", ErrGone)
	}
	if !isSocket(f, t) {
		return fmt.Errorf("the process opened another socket meanwhile: %w", ErrGone)
	}
	return fn(f)
}

// isSocket says whether a descriptor with the inode of a target is that socket. Where the kernel's
// number of it does not say, the socket that listens with that inode does: as long as the
// descriptor is open, nothing else can have the inode.
func isSocket(f *os.File, t plan.Target) bool {
	cookie, err := pidfd.SocketCookie(f)
	if err == nil && cookie == 0 {
		_, err = socketOf(t)
		return err == nil
	}
	return err == nil && (t.Cookie == 0 || cookie == t.Cookie)
}

// descriptorOf finds the number under which a process has a socket open.
func descriptorOf(p *procfs.Process, inode uint64) (int, error) {
	files, err := p.Files()
	if err != nil {
		return 0, err
	}
	defer files.Close()
	found := -1
	_, _, err = files.Sockets(0, func(fd int, i uint32) bool {
		if uint64(i) == inode {
			found = fd
		}
		return found < 0
	})
	if err == nil && found < 0 {
		err = fmt.Errorf("process %d does not hold the socket: %w", p.PID, ErrGone)
	}
	return found, err
}
