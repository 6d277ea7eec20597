package apply

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/plan"
)

// InUse says what is in use of a target now.
func (s *System) InUse(t plan.Target) (n int64, of string, err error) {
	err = s.inside(func() error {
		n, of, err = s.inUse(t)
		return err
	})
	return n, of, edge("read the use of", t, "", err)
}

func (s *System) inUse(t plan.Target) (int64, string, error) {
	switch t.Kind {
	case host.ListenerKind:
		found, err := socketOf(t)
		return int64(found.ReceiveQueue), "connections wait in the queue", err
	case host.ProcessKind:
		n, err := s.highestFile(t)
		return n, "descriptors are in use, or lie below the highest socket", err
	case host.SysctlKind:
		return sysctlUse(t.Name)
	}
	return 0, "", nil
}

// highestFile is the number of open descriptors, or one more than the highest that is a socket where that is more:
// RLIMIT_NOFILE bounds the number of a descriptor and not their count (fs/file.c alloc_fd).
func (s *System) highestFile(t plan.Target) (n int64, err error) {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return 0, err
	}
	err = s.withProcess(pid, t.Start, func(p *procfs.Process) error {
		count, err := p.OpenCount()
		n = int64(count)
		if err != nil {
			return err
		}
		files, err := p.Files()
		if err != nil {
			return nil // the count, which anybody may read, is a lower bound
		}
		defer files.Close()
		_, _, err = files.Sockets(0, func(fd int, _ uint32) bool { n = max(n, int64(fd)+1); return true })
		return err
	})
	return n, err
}
