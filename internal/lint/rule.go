package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// rule is how lines that set a sysctl are judged; what is known of it stands in its row. The texts
// may hold {v}, the value, and {d}, the default of this kernel with its history.
type rule struct {
	*knob.Knob
	key string
	// does is what a value does, in one or two sentences, where the row's words do not say
	// enough.
	does string
	// less is the verdict of a value below the default, "" where lower is not worse, and
	// lessWhy what it does.
	less    Verdict
	lessWhy string
	// judge is for what needs more than that. The texts above are not used then.
	judge func(*evaluation)
}

// rules are all of them by key: one for each row of a sysctl, with what the themes' tables say of
// it. They are put together in init, because rules look at each other.
var rules map[string]*rule

func init() {
	rules = index(
		listenRules, timeWaitRules, portRules, fileRules, memoryRules, bufferRules,
		orphanRules,
		keepaliveRules, conntrackRules, trackTimeRules(), receiveRules, neighbourRules(),
		threadRules, tcpRules, coreRules, routeRules(),
	)
}

func index(tables ...[]rule) map[string]*rule {
	all := map[string]*rule{}
	for _, k := range knob.Rows() {
		if k.IsSysctl() {
			all[k.Name] = &rule{Knob: k, key: k.Name}
		}
	}
	for _, t := range tables {
		for _, r := range t {
			r.Knob = all[r.key].Knob
			all[r.key] = &r
		}
	}
	return all
}

// ruleOf finds the rule of a key; a device's own name counts as "*".
func ruleOf(key string) *rule {
	if r, ok := rules[knob.Main(key)]; ok {
		return r
	}
	if k := knob.Find(key); k != nil {
		return rules[k.Name]
	}
	return nil
}

// families are the prefixes of settings that are never skipped: TCP, the core of the network,
// connection tracking.
var families = []string{
	"net.core.", "net.ipv4.tcp_", "net.netfilter.nf_conntrack_", "net.ipv4.ip_local_",
	"net.ipv4.netfilter.ip_conntrack_", "net.nf_conntrack_", "net.ipv4.ip_conntrack",
}

// isTCP says whether a key is of one of the families, or has a rule of its own.
func isTCP(key string) bool {
	for _, f := range families {
		if strings.HasPrefix(key, f) {
			return true
		}
	}
	r := ruleOf(key)
	return r != nil && !r.Aside
}
