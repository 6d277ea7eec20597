package apply

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/plan"
)

// Place is where a run happens: the host as a plan names it, and which boot of it.
type Place struct {
	plan.Host
	// BootID is the kernel's random name of this boot
	// (/proc/sys/kernel/random/boot_id). The time of boot moves when the clock is set;
	// this does not.
	BootID string `json:"boot_id"`
	// Path is how the namespace was entered, "" for the own one.
	Path string `json:"netns_path,omitempty"`
	// Initial says that this is the host's own network namespace, which files for the
	// next boot act on.
	Initial bool `json:"netns_initial,omitempty"`
}

// hostOnly is a sysctl that the host's own network namespace alone has
// (net/core/sysctl_net_core.c net_core_table).
const hostOnly = "net.core.netdev_max_backlog"

// here is this host seen from the network namespace.
func (s *System) here() (Place, error) {
	here := Place{Path: string(s.namespace.Name())}
	here.Netns = s.namespace.ID().String()
	root := procfs.Root("")
	err := s.inside(func() (err error) {
		_, absent := root.Sysctl(hostOnly)
		here.Initial = absent == nil
		here.Cookie, err = netns.Cookie()
		return err
	})
	for key, field := range map[string]*string{
		"kernel.hostname":       &here.Name,
		"kernel.osrelease":      &here.Kernel,
		"kernel.random.boot_id": &here.BootID,
	} {
		if err == nil {
			*field, err = root.Sysctl(key)
		}
	}
	if err != nil {
		return here, fmt.Errorf("tell which host this is: %w", err)
	}
	b, err := root.Read("stat")
	if err != nil {
		return here, err
	}
	stat, err := procfs.ParseSystemStat(b)
	here.Boot = time.Unix(int64(stat.BootTime), 0).UTC().Format(time.RFC3339)
	return here, err
}

// Uptime is the time since boot, with the time asleep: a clock that nobody sets (/proc/uptime).
func Uptime() (time.Duration, error) {
	b, err := procfs.Root("").Read("uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 || seconds > math.MaxInt32*64 {
		return 0, fmt.Errorf("/proc/uptime: %q is not a time", first)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// clockSteps is by how much the time of boot may differ within one boot: it is computed
// from the clock, which is adjusted.
const clockSteps = 5 * time.Second

// checkHost says which part of a plan's host is not the one here.
func (here Place) checkHost(p plan.Plan) error {
	for _, part := range []struct{ name, plan, here string }{
		{"host", p.Host.Name, here.Name}, {"kernel", p.Host.Kernel, here.Kernel},
		{"network namespace", p.Host.Netns, here.Netns},
	} {
		if part.plan != part.here {
			why := fmt.Sprintf("the plan is for %s %.60s, this is %s",
				part.name, orNothing(part.plan), part.here)
			return &Refusal{Why: why, Hint: "make a plan here: maxconn plan"}
		}
	}
	sameBoot := sameBoot(p.Host.Boot, here.Boot)
	told := p.Host.Cookie != 0 && here.Cookie != 0
	if told && sameBoot && p.Host.Cookie != here.Cookie {
		const why = "the plan is for a network namespace that has ended: %s is another " +
			"one now"
		return &Refusal{Why: fmt.Sprintf(why, here.Netns),
			Hint: "make a plan here: maxconn plan"}
	}
	if !sameBoot && !here.Initial {
		const why = "the plan is for a network namespace of the boot at %.60s, this host " +
			"was booted at %s"
		return &Refusal{Why: fmt.Sprintf(why, orNothing(p.Host.Boot), here.Boot),
			Hint: "make a plan again: maxconn plan"}
	}
	for _, c := range p.Changes {
		t := c.Target
		if (t.Start != 0 || t.PID != 0 || t.Index != 0) && !sameBoot {
			const why = "the plan names processes or devices of the boot at %.60s, " +
				"this host was booted at %s"
			return &Refusal{Why: fmt.Sprintf(why, orNothing(p.Host.Boot), here.Boot),
				Hint: "make a plan again: maxconn plan"}
		}
	}
	return nil
}

func sameBoot(a, b string) bool {
	at, err1 := time.Parse(time.RFC3339, a)
	bt, err2 := time.Parse(time.RFC3339, b)
	return err1 == nil && err2 == nil && at.Sub(bt).Abs() <= clockSteps
}

func orNothing(s string) string {
	if s == "" {
		return "(not named)"
	}
	return s
}

// A network namespace ends when the last process, socket and file that holds it does, and its
// settings end with it. Its inode number is then given to the next one: a number alone says nothing
// about which namespace it was.

// sameNamespace says whether two places of one boot are the same network namespace. Where a cookie
// is missing (a journal of an older maxconn, a kernel before 5.14) the inode number has to do.
func (p Place) sameNamespace(o Place) bool {
	return p.Netns == o.Netns && (p.Cookie == 0 || o.Cookie == 0 || p.Cookie == o.Cookie)
}

// goesWithNamespace says whether a setting is the network namespace's and ends with it. The limits
// of a process and what is the host's stay.
func goesWithNamespace(t plan.Target) bool {
	switch t.Kind {
	case host.ListenerKind, host.LinkKind:
		return true
	}
	return t.Kind == host.SysctlKind && strings.HasPrefix(t.Name, "net.")
}

// over says whether all that a run changed ended with its network namespace.
func (r *Run) over(now Situation) bool {
	if now.Ended == nil || len(r.Files) > 0 {
		return false
	}
	stays := func(c plan.Change) bool { return !goesWithNamespace(c.Target) }
	return !slices.ContainsFunc(r.Plan.Changes, stays) && now.Ended(r.Place)
}

// ended says whether the network namespace of a run of this boot is known to have ended. It is
// looked for once for each.
func (e *Engine) ended(p Place) bool {
	switch {
	case p.BootID != e.Here.BootID || p.sameNamespace(e.Here):
		return false
	case p.Netns == e.Here.Netns: // the number is another's now
		return true
	case e.Gone == nil || p.Initial:
		return false
	}
	e.goneMu.Lock()
	defer e.goneMu.Unlock()
	// the number alone, and a name, may be those of another one in another run
	key := fmt.Sprintf("%s\x00%d\x00%s", p.Host.Netns, p.Cookie, p.Path)
	if e.gone == nil {
		e.gone = map[string]bool{}
	}
	gone, known := e.gone[key]
	if !known {
		gone = e.Gone(p)
		e.gone[key] = gone
	}
	return gone
}

// firstPIDs is the process namespace of the host (include/linux/proc_ns.h PROC_PID_INIT_INO): who
// is in another one does not see all processes.
const firstPIDs = "pid:[4026531836]"

// namespaceGone asks the kernel for a namespace, and looks for it where the kernel does not tell.
func namespaceGone(p Place) bool {
	var inode uint64
	if _, err := fmt.Sscanf(p.Netns, "net:[%d]", &inode); err != nil {
		return false
	}
	if ended, known := netns.Ended(p.Cookie, inode); known {
		return ended
	}
	return nowhere(p)
}

// nowhere says whether the number of a namespace belongs to another one, or all processes, names
// and mounts can be seen and none leads to it. One that is held by nothing but an open file is
// taken for ended too: nobody can reach it but who holds the file.
func nowhere(p Place) bool {
	list, err := netns.System().List()
	if err != nil {
		return false
	}
	paths := []netns.Path{netns.Path(p.Path)}
	for _, n := range list.Namespaces {
		paths = append(paths, n.Path)
	}
	for _, path := range append(paths, mounted(p.Netns)...) {
		if id, err := netns.Identify(path); err == nil && id.String() == p.Netns {
			return p.Cookie != 0 && otherCookie(path, p.Cookie)
		}
	}
	hidden := func(u netns.Unreadable) bool { return u.Reason != netns.NotNamespace.String() }
	all, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && all == firstPIDs && !slices.ContainsFunc(list.Unreadable, hidden)
}

// otherCookie says whether the namespace at a path is known to be another one.
func otherCookie(path netns.Path, cookie uint64) (other bool) {
	err := netns.Do(path, func() error {
		have, err := netns.Cookie()
		other = have != 0 && have != cookie
		return err
	})
	return err == nil && other
}

// mounted are the places where a namespace is mounted, as far as this process sees mounts.
func mounted(name string) (paths []netns.Path) {
	text, err := procfs.Root("").Read("self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && f[3] == name {
			paths = append(paths, netns.Path(f[4]))
		}
	}
	return paths
}
