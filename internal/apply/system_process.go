package apply

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// filesLimit is the name of RLIMIT_NOFILE in /proc/PID/limits.
const filesLimit = "Max open files"

// unlimited is RLIM_INFINITY in words.
const unlimited = "unlimited"

// withProcess runs fn while a process is held, after its start time was compared: a pid that was used
// again is ErrGone.
func withProcess(pid int, start uint64, fn func(*procfs.Process) error) error {
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		return err
	}
	defer p.Close()
	stat, err := p.Stat()
	if err != nil {
		return err
	}
	if stat.StartTime != start {
		return fmt.Errorf("the pid belongs to another process now: %w", ErrGone)
	}
	return fn(p)
}

func readProcess(t plan.Target) (value string, err error) {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return "", err
	}
	err = withProcess(pid, t.Start, func(p *procfs.Process) error {
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

// writeProcess sets one of the two limits and leaves the other. prlimit(2) takes a pid, so the process is held by
// a descriptor meanwhile: where it has ended by the end, nothing is said to have been written.
func writeProcess(t plan.Target, value string) error {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return err
	}
	n, err := parseBound(value)
	if err != nil {
		return err
	}
	held, err := pidfd.Open(pid)
	if err != nil {
		return err
	}
	defer held.Close()
	return withProcess(pid, t.Start, func(p *procfs.Process) error {
		l, err := filesOf(p)
		if err != nil {
			return err
		}
		soft, hard := number(l.Soft), number(l.Hard)
		if t.Field == fieldHard {
			hard = n
		} else {
			soft = n
		}
		if soft > hard {
			return fmt.Errorf("the soft limit %s would be above the hard limit %s", spell(soft), spell(hard))
		}
		if err := tune.Prlimit(pid, soft, hard); err != nil {
			return err
		}
		if !held.Running() {
			return ErrGone
		}
		return nil
	})
}

// probeProcess refuses what prlimit(2) would refuse: another user's process, and for the hard limit any, without
// CAP_SYS_RESOURCE (kernel/sys.c check_prlimit_permission, do_prlimit). Whether the capability counts in the first user namespace
// shows only when it is done.
func probeProcess(t plan.Target) error {
	pid, err := strconv.Atoi(t.Name)
	if err != nil {
		return err
	}
	return withProcess(pid, t.Start, func(p *procfs.Process) error {
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
