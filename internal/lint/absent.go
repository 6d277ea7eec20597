package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// absent is the verdict for a key that the kernel does not have.
func (c *evaluation) absent() (Note, bool) {
	if variable(c.key) || knob.IsGlob(c.key) && !isName(c.key) {
		return Note{Unrelated,
			"The name is a pattern, or made by a shell: what it stands for is not " +
				"known here.", ""}, true
	}
	n := knob.Find(c.key)
	if _, runs := c.running(c.key); runs || c.on.Has != nil && c.on.Has(c.key) {
		if n == nil {
			return Note{Unrelated,
				"This kernel has the setting; maxconn does not know it (one of " +
					"a module, or of a vendor's kernel).", "/proc/sys"}, true
		}
		return Note{}, false // whatever its version says: vendors backport changes
	}
	if n == nil {
		return c.unknown(), true
	}
	if c.past(n) {
		return c.gone(n), true
	}
	if c.future(n) {
		return Note{Gone, "Not there yet: this is a setting of " + n.Since.String() +
			" and newer. The write fails (no such file) and is ignored.",
			sourceOf(c.key)}, true
	}
	return Note{}, false
}

// past says whether a setting is gone from this kernel, future whether it is not there yet.
func (g *env) past(n *knob.Knob) bool {
	yes, sure := n.Until.Reached(g.release())
	return !n.Until.None() && yes && sure
}

func (g *env) future(n *knob.Knob) bool {
	yes, sure := n.Since.Reached(g.release())
	return !n.Since.None() && !yes && sure
}

// release is the kernel's, or the newest where it is not known.
func (g *env) release() host.Release {
	if !g.kernel.Known() {
		return latest.Release()
	}
	return g.kernel
}

// lacks says whether the kernel does not have a setting that others have.
func (g *env) lacks(key string) bool {
	n := knob.Find(key)
	if _, runs := g.running(key); n == nil || runs || g.on.Has != nil && g.on.Has(key) {
		return false
	}
	return g.past(n) || g.future(n)
}

func sourceOf(key string) string {
	if r := ruleOf(key); r != nil {
		return r.Source
	}
	return "net/ (sysctl tables of 4.4-6.18)"
}

// successors are what took the place of settings that are gone.
var successors = map[string]string{
	"net.ipv4.tcp_tw_recycle":        "Before, it dropped connections of clients behind NAT.",
	"net.ipv4.ip_conntrack_max":      "net.netfilter.nf_conntrack_max replaced it.",
	"net.ipv4.tcp_thin_dupack":       "RACK does its work.",
	"net.ipv4.tcp_frto_response":     "F-RTO was rewritten and has tcp_frto alone.",
	"net.ipv4.tcp_abc":               "Appropriate byte counting is always on.",
	"net.ipv4.tcp_max_ssthresh":      "It was of limited slow start, which is gone.",
	"net.ipv4.route.secret_interval": "The IPv4 route cache is gone since Linux 3.6.",
	"net.ipv4.rt_cache_rebuild_count": "The IPv4 route cache is gone since " +
		"Linux 3.6.",
	"fs.inode-max": "Inodes are not limited any more.",
	"net.netfilter.nf_conntrack_udplite_timeout": "UDP-Lite flows take the times of UDP.",
}

// gone says since when, and what is there instead.
func (c *evaluation) gone(n *knob.Knob) Note {
	why := "Gone since " + n.Until.String() + ". "
	if n.Until.After.IsZero() && n.Until.By.Compare(oldest) <= 0 {
		why = "Gone: Linux 4.4 and newer have no such setting, older kernels had. "
	}
	if !n.Until.After.IsZero() {
		why = "Gone: Linux " + n.Until.After.String() + " had it, " + n.Until.By.String() +
			" and newer do not. "
	}
	why += "The write fails (no such file) and is ignored."
	if instead, ok := successors[n.Name]; ok {
		why += " " + instead
	} else if old, ok := strings.CutPrefix(n.Name, "net.ipv4.netfilter.ip_conntrack_"); ok {
		why += " net.netfilter.nf_conntrack_" + old + " replaced it."
	}
	return Note{Gone, why, sourceOf(n.Name)}
}

// complete are the directories of which names.txt has everything that Linux itself has.
var complete = []string{"net.core.", "net.ipv4.", "net.ipv6.", "net.netfilter."}

// unknown is the verdict for a name that no kernel has.
func (c *evaluation) unknown() Note {
	near := c.there(c.spelled.nearest(c.key))
	if len(near) > 0 {
		return Note{UnknownKey,
			"No Linux from 4.4 to 6.18 has a setting of this name; the nearest " +
				"that exists is " + near[0] +
				". The write fails (no such file) and is ignored.",
			"net/, kernel/, fs/, mm/ (sysctl tables of 4.4-6.18)"}
	}
	for _, dir := range complete {
		if strings.HasPrefix(c.key, dir) {
			return Note{UnknownKey,
				"No Linux from 4.4 to 6.18 has a setting of this name (a " +
					"vendor's kernel may). The write fails (no such file) " +
					"and is ignored.", "net/ (sysctl tables of 4.4-6.18)"}
		}
	}
	if !looksLikeKey(c.key) {
		return Note{UnknownKey,
			"There is no setting of this name: names begin with a directory of " +
				"/proc/sys (net, fs, kernel, vm). The write fails (no such " +
				"file) and is ignored.", "sysctl.d(5)"}
	}
	return Note{Unrelated,
		"Is not about connections; maxconn does not know it (one of a module, a " +
			"driver, or a vendor's kernel).", ""}
}

// there are those names that this kernel has; one that is gone stands for what took its place.
func (c *evaluation) there(names []string) (out []string) {
	at := c.release()
	for _, key := range names {
		n := knob.Find(key)
		gone, _ := n.Until.Reached(at)
		come, _ := n.Since.Reached(at)
		switch {
		case !n.Until.None() && gone && knob.Main(key) != key:
			out = append(out, knob.Main(key))
		case (n.Until.None() || !gone) && (n.Since.None() || come):
			out = append(out, key)
		}
	}
	return out
}

// outOfReach is the verdict for a setting that the network namespace does not have or may
// not write.
func (c *evaluation) outOfReach() (Note, bool) {
	n := knob.Find(c.key)
	if !c.child() || n == nil {
		return Note{}, false
	}
	if _, runs := c.running(c.key); runs {
		if n.Scope.ReadOnlyInChild(c.kernel) {
			return Note{NoEffect,
				"Pointless in this network namespace: the setting is one for " +
					"the whole host and read-only here. It has to be set " +
					"on the host.", scopeSource(n)}, true
		}
		return Note{}, false
	}
	if shown, sure := n.Scope.InChild(c.kernel); !shown && sure {
		return Note{NoEffect,
			"Pointless in this network namespace: the setting is one for the whole " +
				"host and not there in a container. It has to be set on the host.",
			scopeSource(n)}, true
	}
	return Note{}, false
}

func scopeSource(n *knob.Knob) string {
	switch {
	case strings.Contains(n.Name, "conntrack"):
		return "net/netfilter/nf_conntrack_standalone.c; 2671fa4dc010 (5.13)"
	case strings.HasPrefix(n.Name, "net.core."):
		return "net/core/sysctl_net_core.c sysctl_core_net_init; 19249c0724f2 (6.11)"
	case strings.Contains(n.Name, ".neigh."):
		return "net/core/neighbour.c neigh_sysctl_register"
	}
	return "net/ipv4/sysctl_net_ipv4.c ipv4_table (initial network namespace), ipv4_net_table"
}

// familyNote is what can be said of a setting that has no rule.
func familyNote(name string) Note {
	key := knob.Main(name)
	switch {
	case strings.HasPrefix(key, "net.ipv4.tcp_"):
		return Note{Unrelated,
			"Is a setting of TCP that says how connections send, measure or " +
				"recover, not how many there can be.",
			"net/ipv4/sysctl_net_ipv4.c; " + ipSysctl}
	case strings.HasPrefix(key, "net.core."):
		return Note{Unrelated,
			"Is a setting of the network core that sets no ceiling on connections.",
			"net/core/sysctl_net_core.c"}
	case strings.HasPrefix(key, "net.netfilter."):
		return Note{Unrelated,
			"Is a setting of connection tracking that does not say how many " +
				"connections there can be.", trackDoc}
	}
	return Note{Unrelated, "Is not about how many connections there can be.", ""}
}
