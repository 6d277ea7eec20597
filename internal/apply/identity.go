package apply

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

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
	for _, c := range p.Changes {
		if (c.Target.Start != 0 || c.Target.PID != 0) && !sameBoot {
			const why = "the plan names processes of the boot at %.60s, this host " +
				"was booted at %s"
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
