package observe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
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
	s.osRelease()
	s.security()
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

// capSysAdmin is CAP_SYS_ADMIN (include/uapi/linux/capability.h).
const capSysAdmin = 21

// wholeMap is /proc/PID/uid_map of the initial user namespace (kernel/user.c init_user_ns).
const wholeMap = "0 0 4294967295"

// sysadmin says whether the process passes capable(CAP_SYS_ADMIN), which asks for it in the
// initial user namespace: root of a container with a user namespace of its own has the bit
// and does not pass.
func sysadmin(f host.Fields, p *procfs.Process, status procfs.Status) host.Fields {
	switch {
	case !status.Capable:
		return f
	case status.Capabilities>>capSysAdmin&1 == 0:
		return f.Add("sysadmin", "no")
	}
	ids, err := p.Read("uid_map")
	switch {
	case err != nil:
		return f // not known
	case string(bytes.Join(bytes.Fields(ids), []byte(" "))) == wholeMap:
		return f.Add("sysadmin", "yes")
	}
	return f.Add("sysadmin", "no")
}

// Administrator says whether this process passes capable(CAP_SYS_ADMIN); false where that
// is unknown.
func Administrator() bool {
	p, err := procfs.Root("").Open(os.Getpid())
	if err != nil {
		return false
	}
	defer p.Close()
	status, err := p.Status()
	if err != nil {
		return false
	}
	passes, _ := sysadmin(nil, p, status).Lookup("sysadmin")
	return passes == "yes"
}

// sample keeps a few sockets of a row for a second look (see ages). The kernel dumps in the order
// of a hash, so the first ones are as good as any.
type sample struct{ ids []sockdiag.ID }

// add keeps a socket, if fewer than max are kept.
func (s *sample) add(k *sockdiag.Socket, max int) {
	if len(s.ids) >= max {
		return
	}
	if s.ids == nil {
		s.ids = make([]sockdiag.ID, 0, max)
	}
	s.ids = append(s.ids, k.ID())
}

// aligned calls the rows of the earlier snapshot as the later one does: a row that counts
// events is named by where it stands, "0.0.0.0:80~2" or "eth0", and while it is watched
// another socket or device may come to stand there. Rows of those that are gone are left
// out, so that nothing is taken for a difference that is one between two of them.
func aligned(before, after host.Snapshot) host.Snapshot {
	names := map[host.Kind]map[string]string{}
	for kind, id := range identities() {
		names[kind] = map[string]string{}
		for _, row := range after.Read().Rows(kind) {
			if n, _ := row.Int(id); n != 0 {
				names[kind][row.Text(id)] = row.Name()
			}
		}
	}
	out := host.Snapshot{}
	for _, f := range before.Facts() {
		r, _ := before.Lookup(f)
		switch {
		case r.Err != "":
			out.Miss(f, r.Err)
			continue
		case names[f.Kind] != nil:
			row, _ := before.Read().Row(f.Kind, f.Name)
			name, ok := names[f.Kind][row.Text(identities()[f.Kind])]
			if !ok {
				continue
			}
			f.Name = name
		}
		out.Set(f, r.Text)
	}
	opened(&out, before, after)
	return out
}

// opened adds the listeners that were opened since the earlier snapshot, with the count that each
// began with.
func opened(out *host.Snapshot, before, after host.Snapshot) {
	if before.Read().Partial(host.ListenerKind) != "" {
		return // it may have been there
	}
	known := map[string]bool{}
	for _, row := range before.Read().Rows(host.ListenerKind) {
		known[row.Text("inode")] = true
	}
	for _, row := range after.Read().Rows(host.ListenerKind) {
		_, counts := row.Int("drops")
		if inode := row.Count("inode"); counts && inode != 0 && !known[row.Text("inode")] {
			out.Set(row.Fact, host.Fields{}.AddInt("drops", 0).String())
		}
	}
}

// identities are the fields by which a row of a table is known again.
func identities() map[host.Kind]string {
	return map[host.Kind]string{host.ListenerKind: "inode", host.LinkKind: "index",
		host.CgroupKind: "id", host.AllowanceKind: "index"}
}
