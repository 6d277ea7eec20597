package apply

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// processOf is the process of a target that has one.
func processOf(t plan.Target) (pid int, ok bool) {
	switch t.Kind {
	case host.ListenerKind:
		return int(t.PID), true
	case host.ProcessKind:
		pid, err := strconv.Atoi(t.Name)
		return pid, err == nil
	}
	return 0, false
}

// filesLimit is the name of RLIMIT_NOFILE in /proc/PID/limits.
const filesLimit = "Max open files"

// unlimited is RLIM_INFINITY in words.
const unlimited = "unlimited"

// withProcess runs fn on a process that is held, and whose start time was compared: a pid that was
// used again is ErrGone.
func (s *System) withProcess(pid int, start uint64, fn func(*procfs.Process) error) error {
	p, err := s.processes.hold(pid, start)
	if err != nil {
		return err
	}
	return fn(p.dir)
}

func (s *System) readProcess(t plan.Target) (value string, err error) {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return "", err
	}
	err = s.withProcess(pid, t.Start, func(p *procfs.Process) error {
		l, err := filesOf(p)
		if t.Field == fieldHard {
			value = l.Hard.String()
		} else {
			value = l.Soft.String()
		}
		return err
	})
	return value, err
}

func filesOf(p *procfs.Process) (procfs.ResourceLimit, error) {
	limits, err := p.Limits()
	if err != nil {
		return procfs.ResourceLimit{}, err
	}
	l, ok := limits.Named(filesLimit)
	if !ok {
		return l, fmt.Errorf("limits of process %d: no %q", p.PID, filesLimit)
	}
	return l, nil
}

// writeProcess sets one of the two limits and leaves the other. prlimit(2) takes a pid: see
// tune.PrlimitHeld for what that leaves open.
func (s *System) writeProcess(t plan.Target, value string) error {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return err
	}
	n, err := parseBound(value)
	if err != nil {
		return err
	}
	held, err := s.processes.hold(pid, t.Start)
	if err != nil {
		return err
	}
	l, err := filesOf(held.dir)
	if err != nil {
		return err
	}
	was := tune.Files{Soft: number(l.Soft), Hard: number(l.Hard)}
	want := was
	if t.Field == fieldHard {
		want.Hard = n
	} else {
		want.Soft = n
	}
	if want.Soft > want.Hard {
		return fmt.Errorf(
			"the soft limit %s would be above the hard limit %s",
			spell(want.Soft),
			spell(want.Hard),
		)
	}
	return tune.PrlimitHeld(pid, held.running, was, want)
}

// probeProcess refuses what prlimit(2) would refuse: another user's process, and for the
// hard limit any, without CAP_SYS_RESOURCE (kernel/sys.c check_prlimit_permission,
// do_prlimit). Whether the capability counts in the first user namespace shows only when it
// is done.
func (s *System) probeProcess(t plan.Target) error {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return err
	}
	return s.withProcess(pid, t.Start, func(p *procfs.Process) error {
		own, err := procfs.Root("").Read("self/status")
		if err != nil || hasCapability(own, capSysResource) {
			return err
		}
		status, err := p.Status()
		if err != nil {
			return err
		}
		for _, theirs := range status.UIDs[:procfs.FilesystemUID] {
			if t.Field == fieldHard || theirs != uint32(os.Getuid()) {
				return syscall.EPERM
			}
		}
		return nil
	})
}

// capSysResource is CAP_SYS_RESOURCE of include/uapi/linux/capability.h.
const capSysResource = 24

// hasCapability reads CapEff of a /proc/PID/status.
func hasCapability(status []byte, bit uint) bool {
	_, rest, _ := bytes.Cut(status, []byte("\nCapEff:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	set, err := strconv.ParseUint(string(line), 16, 64)
	return err == nil && set>>bit&1 == 1
}

func parseBound(value string) (uint64, error) {
	if value == unlimited {
		return math.MaxUint64, nil
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, errNotNumber
	}
	return n, nil
}

func number(b procfs.Bound) uint64 {
	if b.Unlimited {
		return math.MaxUint64
	}
	return b.N
}

func spell(n uint64) string {
	if n == math.MaxUint64 {
		return unlimited
	}
	return strconv.FormatUint(n, 10)
}
