//go:build linux

package lab

import (
	"path/filepath"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/task"
)

// TaskSpec says who makes how many tasks (threads or processes, to the kernel the same)
// under which limit.
type TaskSpec struct {
	N      int     `json:"n"`      // after which to stop, at most 2048
	UID    int     `json:"uid"`    // user that makes them; 0: that of the actor
	Limit  uint64  `json:"limit"`  // RLIMIT_NPROC; 0: that of the actor
	Cgroup *Cgroup `json:"cgroup"` // nil: that of the actor
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
	var out Tasks
	err := a.control.call("tasks", spec, &out, maxWithin)
	return out, err
}

func fillTasks(_ *worker, spec TaskSpec) (Tasks, error) {
	s := task.Spec{UID: spec.UID, Limit: spec.Limit, Most: spec.N}
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
