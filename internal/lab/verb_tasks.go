//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/task"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// TaskSpec says who makes how many tasks (threads or processes, to the kernel the same)
// under which limit.
type TaskSpec struct {
	N      int     `json:"n"`      // after which to stop, at most 2048
	UID    int     `json:"uid"`    // user that makes them; 0: that of the actor
	Limit  uint64  `json:"limit"`  // RLIMIT_NPROC; 0: that of the actor
	Cgroup *Cgroup `json:"cgroup"` // nil: that of the actor
	Own    bool    `json:"own"`    // in a user namespace of their own, which has the limit
}

// Tasks is what came of it.
type Tasks struct {
	// that were there at one time, the one that made the others included
	Count int    `json:"count"`
	Errno string `json:"errno"` // why there were not more ("EAGAIN"), "" where N was reached
	Load  string `json:"load"`  // /proc/loadavg at that time
}

// FillTasks makes tasks until the kernel refuses one, or there are N, and ends them again.
func (a *Actor) FillTasks(spec TaskSpec) (Tasks, error) {
	return ask[Tasks](a.control, "tasks", spec, maxWithin)
}

func fillTasks(_ *worker, spec TaskSpec) (Tasks, error) {
	s := task.Spec{UID: spec.UID, Limit: spec.Limit, Most: spec.N, Own: spec.Own}
	if spec.Cgroup != nil {
		s.Cgroup = filepath.Join(spec.Cgroup.Path, "cgroup.procs")
	}
	r, err := task.Fill(s)
	out := Tasks{Count: r.Made + 1, Load: r.Load}
	if r.Errno != 0 {
		out.Errno = errnoName(r.Errno)
	}
	return out, err
}

// Become makes the actor an ordinary user, without privileges from then on.
func (a *Actor) Become(uid int) error { return a.order("become", uid, nil) }

func becomeUser(_ *worker, uid int) (nothing, error) {
	if err := syscall.Setuid(uid); err != nil {
		return nothing{}, err
	}
	// Another user clears the parent-death signal (kernel/cred.c commit_creds); the
	// control socket's end ends the worker too.
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG,
		uintptr(syscall.SIGKILL), 0)
	if errno != 0 {
		return nothing{}, errno
	}
	return nothing{}, nil
}

// cgroupRoot is where version 2 is mounted on a machine that has nothing else.
const cgroupRoot = "/sys/fs/cgroup"

// Cgroup is a cgroup of version 2, made for an experiment on a machine that may be spoiled:
// unlike everything else of a lab it does not end by itself.
type Cgroup struct {
	Path string // of its directory
	lab  *Lab
}

// Cgroup makes one, with settings such as "pids.max".
func (l *Lab) Cgroup(name string, controllers []string, settings map[string]string) (*Cgroup,
	error) {
	c := &Cgroup{filepath.Join(cgroupRoot, filepath.Base(name)), l}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err != nil {
		return nil, fmt.Errorf("lab: cgroup %s: no cgroup version 2: %w", name, err)
	}
	return c, l.order("cgroup", newCgroup{c.Path, controllers, settings}, nil)
}

// Join moves an actor into the cgroup.
func (c *Cgroup) Join(a *Actor) error { return c.lab.order("join", joining{c.Path, a.PID()}, nil) }

// Read gives the text of one of its files.
func (c *Cgroup) Read(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Path, file))
	return string(text), err
}

// Remove ends it; its processes must be gone.
func (c *Cgroup) Remove() error { return c.lab.order("rmcgroup", c.Path, nil) }

type newCgroup struct {
	Path        string            `json:"path"`
	Controllers []string          `json:"controllers"`
	Settings    map[string]string `json:"settings"`
}

func makeCgroup(c newCgroup) error { return tune.Cgroup(c.Path, c.Controllers, c.Settings) }

type joining struct {
	Path string `json:"path"`
	PID  int    `json:"pid"`
}

func joinCgroup(j joining) error { return tune.JoinCgroup(j.Path, j.PID) }
