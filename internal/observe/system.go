package observe

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// filesLimit is the name of RLIMIT_NOFILE in /proc/PID/limits.
const (
	filesLimit     = "Max open files"
	processesLimit = "Max processes"
)

// system records what the machine and the subject are.
func (s *subject) system() {
	set := func(name, text string) {
		if text != "" {
			s.snapshot.Set(host.System(name), text)
		}
	}
	set("page-size", strconv.Itoa(os.Getpagesize()))
	set("user", user())
	if s.id.Inode != 0 {
		set("netns", s.id.String())
	}
	if cookie, err := netns.Cookie(); err == nil && cookie != 0 && s.options.Root == "" {
		set("netns-cookie", strconv.FormatUint(cookie, 10))
	}
	set("netns-name", s.options.Name)
	s.kernel()
	s.boot()
	s.scope()
	s.ownLimits()
	s.cgroupMemory()
}

// cgroupMemory records what the kernel was told at boot not to charge to cgroups
// (mm/memcontrol.c cgroup_memory).
func (s *subject) cgroupMemory() {
	b, err := s.root.Read("cmdline")
	if err != nil {
		return // as where nobody gave the option
	}
	for option := range strings.FieldsSeq(string(b)) {
		if what, ok := strings.CutPrefix(option, "cgroup.memory="); ok {
			s.snapshot.Set(host.System("cgroup-options"), what)
		}
	}
}

func user() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return "uid " + strconv.Itoa(os.Geteuid())
}

func (s *subject) kernel() {
	for name, key := range map[string]string{"name": "kernel.hostname",
		"kernel": "kernel.osrelease"} {
		text, err := s.root.Sysctl(key)
		if err != nil {
			s.miss(s.whyNoSysctl(key, err), host.System(name))
			continue
		}
		s.snapshot.Set(host.System(name), text)
	}
}

func (s *subject) boot() {
	facts := []host.Fact{host.System("boot"), host.System("cpus")}
	b, ok := s.file("stat", facts...)
	if !ok {
		return
	}
	stat, err := procfs.ParseSystemStat(b)
	if err != nil {
		s.miss(err.Error(), facts...)
		return
	}
	s.snapshot.Set(facts[0], time.Unix(int64(stat.BootTime), 0).UTC().Format(time.RFC3339))
	s.snapshot.Set(facts[1], strconv.Itoa(stat.CPUs))
}

// scope tells the initial network namespace by a sysctl that only it has.
func (s *subject) scope() {
	_, err := s.root.Sysctl(hostOnly)
	switch {
	case err == nil:
		s.initial = true
		s.snapshot.Set(host.System("scope"), "initial")
	case errors.Is(err, fs.ErrNotExist) && s.shows(hostOnly):
		s.child = true
		s.snapshot.Set(host.System("scope"), "child")
	default:
		s.miss(s.whyNoSysctl(hostOnly, err), host.System("scope"))
	}
}

// ownLimits records the descriptor limits that the user's shell gives to what it starts: those of
// the parent, because the Go runtime raises the own one.
func (s *subject) ownLimits() {
	facts := []host.Fact{host.System("own-files-soft"), host.System("own-files-hard")}
	p, err := s.root.Open(os.Getppid())
	if err != nil {
		s.miss(why(err), facts...)
		return
	}
	defer p.Close()
	limits, err := p.Limits()
	if err != nil {
		s.miss(why(err), facts...)
		return
	}
	open, ok := limits.Named(filesLimit)
	if !ok {
		s.miss(host.Absent, facts...)
		return
	}
	s.snapshot.Set(facts[0], open.Soft.String())
	s.snapshot.Set(facts[1], open.Hard.String())
}
