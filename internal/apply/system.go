package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/link"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// The fields of targets; see plan.Target.
const (
	fieldSoft       = "soft"
	fieldHard       = "hard"
	fieldLimit      = "limit"
	fieldTxQueueLen = "txqueuelen"
)

// System is the running kernel, seen from one network namespace, where sysctls, devices and sockets
// are. It looks nothing up twice: the namespace is held by a descriptor, and so is each process
// from the first look at it to the last write. It is safe for concurrent use.
type System struct {
	namespace *netns.Handle
	processes keeper
}

// NewSystem is the running kernel, seen from a namespace that somebody holds.
func NewSystem(held *netns.Handle) *System { return &System{namespace: held} }

// inside runs fn on a thread in the namespace.
func (s *System) inside(fn func() error) error {
	return s.namespace.Do(fn)
}

// Read gives the present value of a target.
func (s *System) Read(t plan.Target) (value string, err error) {
	err = s.inside(func() (err error) {
		switch t.Kind {
		case host.SysctlKind:
			value, err = procfs.Root("").Sysctl(t.Name)
		case host.ProcessKind:
			value, err = s.readProcess(t)
		case host.ListenerKind:
			value, err = readListener(t)
		case host.LinkKind:
			value, err = readLink(t)
		default:
			err = fmt.Errorf("a target of kind %q cannot be read", t.Kind)
		}
		return err
	})
	return value, edge("read", t, "", err)
}

// Write sets a value and reads it back.
func (s *System) Write(t plan.Target, value string) error {
	err := s.inside(func() error {
		switch t.Kind {
		case host.SysctlKind:
			return tune.Sysctl(t.Name, value)
		case host.ProcessKind:
			return s.writeProcess(t, value)
		case host.ListenerKind:
			return s.writeListener(t, value)
		case host.LinkKind:
			return writeLink(t, value)
		}
		return fmt.Errorf("a target of kind %q cannot be written", t.Kind)
	})
	return edge("write", t, value, err)
}

// Probe finds out without writing whether a change is permitted, as far as it is known.
func (s *System) Probe(t plan.Target, value string) error {
	err := s.inside(func() error {
		switch t.Kind {
		case host.SysctlKind:
			return errors.Join(probeSysctl(t.Name), fitsMemory(t.Name, value))
		case host.ListenerKind:
			return s.withListener(t, func(*os.File) error { return nil })
		case host.ProcessKind:
			return s.probeProcess(t)
		}
		return nil
	})
	return edge("write", t, value, err)
}

// probeSysctl opens for writing and writes nothing.
func probeSysctl(name string) error {
	file, err := knob.File(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(knob.Dir+file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// fitsMemory refuses more pages for TCP than the host has: the catalogue proposes no more than half
// of those that are left.
func fitsMemory(name, value string) error {
	if name != tcpMem {
		return nil
	}
	b, err := procfs.Root("").Read("meminfo")
	if err != nil {
		return nil // the kernel takes any value
	}
	rest, found := strings.CutPrefix(string(b), "MemTotal:")
	var kilobytes, pages int64
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil || !found {
		return nil
	}
	fields := strings.Fields(value)
	has := kilobytes * 1024 / int64(os.Getpagesize())
	if pages, err = strconv.ParseInt(fields[len(fields)-1], 10, 64); err == nil && pages > has {
		err = fmt.Errorf("that is more than the %d MiB of memory that this host has",
			kilobytes>>10)
	}
	return err
}

func readLink(t plan.Target) (string, error) {
	report, err := link.List("/sys")
	if err != nil {
		return "", err
	}
	for _, d := range report.Devices {
		if d.Name == t.Name && (t.Index == 0 || int64(d.Index) == t.Index) {
			return strconv.Itoa(d.TxQueueLen), nil
		}
	}
	return "", ErrGone
}

func writeLink(t plan.Target, value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return errNotNumber
	}
	return tune.LinkTxQueueLen(t.Name, int(t.Index), uint32(n))
}

var errNotNumber = errors.New("not a whole number in its range")

// edge turns what the layers below say into the errors of Kernel.
func edge(op string, t plan.Target, value string, err error) error {
	if err == nil {
		return nil
	}
	var written *tune.Error
	if errors.As(err, &written) {
		if written.Kept() {
			return &Kept{Want: value,
				Got: strings.Join(strings.Fields(written.Got), " ")}
		}
		err = written.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, procfs.ErrGone) || errors.Is(err, syscall.ESRCH) {
		err = ErrGone
	}
	return &TargetError{Op: op, Setting: words(t), Value: value, Err: err,
		Need: need(op, t, err)}
}

// words names a target for people.
func words(t plan.Target) string {
	switch t.Kind {
	case host.ProcessKind:
		return fmt.Sprintf("%s descriptor limit of process %s", t.Field, t.Name)
	case host.ListenerKind:
		return fmt.Sprintf("accept queue of %s (pid %d)", t.Name, t.PID)
	case host.LinkKind:
		return t.Field + " of " + t.Name
	}
	return t.Name
}

// need says which right is missing.
func need(op string, t plan.Target, err error) string {
	if errors.Is(err, syscall.EROFS) {
		return "/proc/sys is mounted read-only here, as in a container: apply it on " +
			"the host, in this namespace"
	}
	if op != "write" || !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	switch t.Kind {
	case host.SysctlKind:
		if strings.HasPrefix(t.Name, "net.") { // net/sysctl_net.c net_ctl_permissions
			return "needs root or CAP_NET_ADMIN in the user namespace that owns " +
				"this network namespace; some keys only the host's root may write"
		}
		return "needs root of the host, in the first user namespace"
	case host.ProcessKind: // kernel/sys.c do_prlimit, check_prlimit_permission
		if t.Field == fieldHard {
			return "raising a hard limit needs CAP_SYS_RESOURCE in the first user " +
				"namespace, and a value not above fs.nr_open"
		}
		return "needs the process's user or CAP_SYS_RESOURCE"
	case host.ListenerKind:
		if refused := (*pidfd.Error)(nil); errors.As(err, &refused) {
			return "" // it says so itself
		}
		return "needs the right to trace the process: its user or CAP_SYS_PTRACE"
	}
	return "needs CAP_NET_ADMIN over this network namespace"
}
