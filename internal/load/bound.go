//go:build linux

package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/load/result"
	"github.com/maxconn/maxconn/internal/observe"
)

// verdict is the diagnosis of a run: what check would say of the time between its start and
// its end.
type verdict struct {
	before   host.Snapshot
	taken    time.Time
	findings []diagnose.Finding // critical ones, in the window of the run
	looked   bool
}

// observeTime bounds one look at the host. A dump of a million sockets takes two seconds.
const observeTime = 20 * time.Second

// newVerdict looks at the host before a run; nil where that fails: then only errnos tell.
func newVerdict(ctx context.Context) *verdict {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	s, err := observe.Observe(ctx, observe.Options{})
	if err != nil {
		return nil
	}
	return &verdict{before: s, taken: time.Now()}
}

// look observes again and diagnoses what moved in between, once.
func (v *verdict) look(ctx context.Context) {
	if v == nil || v.looked {
		return
	}
	v.looked = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), observeTime)
	defer cancel()
	s, err := observe.Observe(ctx, observe.Options{})
	if err != nil {
		return
	}
	for _, f := range diagnose.Check(host.Window(v.before, s, time.Since(v.taken)),
		diagnose.Options{}).Findings {
		if f.Severity == diagnose.Critical {
			v.findings = append(v.findings, f)
		}
	}
}

// found is the first critical finding of one of these limits; of any where there are none.
func (v *verdict) found(ids []limit.ID) (diagnose.Finding, bool) {
	if v == nil {
		return diagnose.Finding{}, false
	}
	for _, f := range v.findings {
		if len(ids) == 0 || slices.Contains(ids, limit.ID(f.Limit)) {
			return f, true
		}
	}
	return diagnose.Finding{}, false
}

// callOf is the system call of a phase, in the catalogue's words.
func callOf(p result.Phase) string {
	switch p {
	case result.AtWatch:
		return "epoll_ctl"
	case result.AtAnswer:
		return "read"
	case result.AtHeld:
		return "read"
	case result.AtBind:
		return "connect" // the program's own choice of ports stands for the kernel's
	}
	return string(p)
}

// limitsBehind are the limits of the catalogue that show themselves by this errno of this call.
func limitsBehind(f result.Failure) (ids []limit.ID) {
	for _, l := range limit.Catalogue() {
		for _, s := range l.Signs {
			if s.Errno == f.Errno && s.Call == callOf(f.Phase) &&
				!slices.Contains(ids, l.ID) {
				ids = append(ids, l.ID)
			}
		}
	}
	return ids
}

// bound names the limit that bound first. A finding of the diagnosis that explains the
// first failure counts most, then one that explains waiting for SYNs, then the errno alone
// where only one limit gives it.
func (a *account) bound(r *result.Report) {
	if a.boundByGroup(r) {
		return
	}
	if r.Stopped == result.StoppedMemory {
		r.BoundBy, r.Because = string(limit.ConnectionMemory),
			fmt.Sprintf("free memory and page cache fell below %d MiB with %d "+
				"connections open", a.keepFree()>>20, r.PeakOpen)
		return
	}
	if len(r.Failures) == 0 && len(r.SYNSteps) == 0 {
		a.boundByProcessors(r)
		return
	}
	a.verdict.look(context.Background())
	for _, f := range r.Failures {
		ids := limitsBehind(f)
		if found, ok := a.verdict.found(ids); ok && len(ids) > 0 {
			r.BoundBy, r.Because = found.Limit, found.Subject+": "+found.Cause
			return
		}
		if sole := soleLimit(f.Errno); sole != "" {
			r.BoundBy, r.Because = string(sole),
				fmt.Sprintf("%s at %s with %d connections open", f.Errno, f.Phase,
					f.Open)
			return
		}
	}
	if found, ok := a.verdict.found(silent()); ok {
		r.BoundBy, r.Because = found.Limit, found.Subject+": "+found.Cause
	}
}

// boundByGroup says that a cgroup's memory ended the run, or processes of it.
func (a *account) boundByGroup(r *result.Report) bool {
	why := ""
	if tight := a.tight.Load(); tight != nil && r.Stopped == result.StoppedMemory {
		why = fmt.Sprintf("%s, with %d connections open", tight, r.PeakOpen)
	} else if room, ok := GroupRoom(); ok && room.Kills > a.kills && r.WorkersLost > 0 {
		why = fmt.Sprintf("the kernel killed %d processes of cgroup %s, which may have "+
			"%d MiB", room.Kills-a.kills, room.Path, room.Limit>>20)
	}
	if why != "" {
		r.BoundBy, r.Because = string(limit.CgroupMemory), why
	}
	return why != ""
}

// soleLimit is the limit that alone causes this errno, "" where several do or none.
func soleLimit(errno string) limit.ID {
	for _, l := range limit.Catalogue() {
		if errno != "" && l.SoleErrno == errno {
			return l.ID
		}
	}
	return ""
}

// silent are the limits that a client notices only by waiting.
func silent() (ids []limit.ID) {
	for _, l := range limit.Catalogue() {
		if l.Silent {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

func (a *account) keepFree() int64 {
	if a.spec.KeepFree > 0 {
		return a.spec.KeepFree
	}
	return keepFree(a.memory)
}
