package apply

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

// On the real kernel, each of these is one line and changes nothing.
func TestBadInput(t *testing.T) {
	s := newScene(t)
	s.job.Etc = ""
	whole := s.job.Plan
	dead, err := s.Spawn("dead")
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(p *plan.Plan)
		job  job
		want string
	}{
		"a read-only /proc/sys": {job: job{Closed: true},
			want: "write net.core.somaxconn = 4096: read-only file system " +
				"(/proc/sys is mounted read-only here"},
		"a pid that was used again": {edit: func(p *plan.Plan) {
			for i := range p.Changes {
				if p.Changes[i].Target.Start > 0 {
					p.Changes[i].Target.Start++
				}
			}
		}, want: "the pid belongs to another process now: it is gone"},
		"a process that exited": {
			edit: func(p *plan.Plan) {
				p.Changes[2].Target.Name = strconv.Itoa(dead.PID())
			},
			want: "of process " + strconv.Itoa(dead.PID()) + ": it is gone",
		},
		"a key that vanished": {
			edit: func(p *plan.Plan) {
				p.Changes[1].Target.Name = "net.core.netdev_max_backlog"
			},
			want: "read net.core.netdev_max_backlog: no such file or directory",
		},
		"a device that vanished": {edit: func(p *plan.Plan) {
			p.Changes[0].Target.Name = "eth9"
		}, want: "read txqueuelen of eth9: it is gone"},
		"a socket that closed": {edit: func(p *plan.Plan) {
			p.Changes[4].Target.Inode = 1
		}, want: "the socket does not listen any more: it is gone"},
		"another namespace": {edit: func(p *plan.Plan) {
			p.Host.Netns = "net:[1]"
		}, want: "the plan is for network namespace net:[1]"},
		"out of bounds": {
			edit: func(p *plan.Plan) { p.Changes[1].To = "9 60999" },
			want: "write net.ipv4.ip_local_port_range = 9 60999: invalid argument; " +
				"everything is as before",
		},
		"above the hard limit": {
			edit: func(p *plan.Plan) { p.Changes[2].To = "999999999" },
			want: "would be above the hard limit",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.job.Plan = whole
			s.job.Plan.Changes = slices.Clone(whole.Changes)
			if c.edit != nil {
				c.edit(&s.job.Plan)
			}
			c.job.Verb = "apply"
			a := s.do(c.job)
			if !strings.Contains(a.Err, c.want) || strings.Contains(a.Err, "\n") {
				t.Errorf("%q, want %q", a.Err, c.want)
			}
			s.job.Plan = whole
			s.wantBefore("nothing", 0)
		})
	}
}

// Without rights each change that would need one is named with it, before anything is written.
func TestNoRights(t *testing.T) {
	if os.Getuid() != 0 || nstest.Mapped() {
		t.Skip("only root can become somebody without rights")
	}
	s := newScene(t)
	s.job.Etc = ""
	dir, err := os.MkdirTemp("/tmp", "maxconn-nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	s.job.Dir = dir + "/state"
	a := s.do(job{Verb: "apply", Nobody: true})
	for _, want := range []string{
		"write net.ipv4.ip_local_port_range = 20000 60999: permission denied (needs " +
			"root or CAP_NET_ADMIN",
		"write net.core.somaxconn = 4096: permission denied",
		"needs the process's user or CAP_SYS_RESOURCE",
		"needs the right to trace the process",
	} {
		if !strings.Contains(a.Err, want) {
			t.Errorf("%q does not say %q", a.Err, want)
		}
	}
	s.job.Dir = t.TempDir()
	s.wantBefore("nothing", 0)
}

// What the kernel keeps of a value too large is recorded, and rolled back all the same.
func TestClampedQueue(t *testing.T) {
	s := newScene(t)
	s.job.Etc = ""
	whole := s.job.Plan
	s.job.Plan.Changes = slices.Clone(whole.Changes[4:]) // the queue without somaxconn
	s.before = []string{"5"}
	a := s.must(job{Verb: "apply"})
	if r := a.Report.Receipts[0]; r.Became != "64" || !r.Kept || r.Wanted != "4096" ||
		a.Values[0] != "64" {
		t.Errorf("%+v, %q", r, a.Values)
	}
	s.must(job{Verb: "rollback"})
	s.wantBefore("nothing", 0)
}
