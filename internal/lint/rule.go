package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// rule is what is known of one sysctl. The texts may hold {v}, the value, and {d}, the default of this kernel with its history.
type rule struct {
	key   string
	takes shape
	// does is what the setting does to connections, in one or two sentences.
	does   string
	source string
	// def is the default of the kernel, nil where it is not a number to compare with.
	def func(*ground) amount
	// less is the verdict of a value below the default, "" where lower is not worse, and lessWhy what it does.
	less    Verdict
	lessWhy string
	// unrelated says that it is not about how many connections there can be.
	unrelated bool
	// judge adds what needs more than that. Where it gives a verdict itself, the texts above are not used.
	judge func(*call)
}

// amount is a default: the number, and where it comes from (" since Linux 5.4, 128 before"). Where it depends on memory that is not known,
// memory says for which hosts a value is below it.
type amount struct {
	n     int64
	known bool
	rough bool // computed from memory, so not to the last digit
	words string
	hosts func(v int64) (gib float64) // hosts with more memory have a higher default; 0: no host has
}

// rules are all of them by key. Each theme has its table. They are put together in init, because rules look at each other.
var rules map[string]*rule

func init() {
	rules = index(
		listenRules, timeWaitRules, portRules, fileRules, memoryRules, bufferRules, orphanRules, keepaliveRules,
		conntrackRules, trackTimeRules, receiveRules, neighbourRules, threadRules, tcpRules, coreRules, routeRules,
	)
}

func index(tables ...[]rule) map[string]*rule {
	all := map[string]*rule{}
	for _, t := range tables {
		for i := range t {
			all[t[i].key] = &t[i]
		}
	}
	return all
}

// ruleOf finds the rule of a key; a device's own name counts as "*".
func ruleOf(key string) *rule {
	if r, ok := rules[identity(key)]; ok {
		return r
	}
	if n := knownNames().find(key); n != nil {
		return rules[n.key]
	}
	return nil
}

// families are the prefixes of settings that are never passed over: TCP, the core of the network, connection tracking.
var families = []string{"net.core.", "net.ipv4.tcp_", "net.netfilter.nf_conntrack_", "net.ipv4.ip_local_", "net.ipv4.netfilter.ip_conntrack_", "net.nf_conntrack_", "net.ipv4.ip_conntrack"}

// isTCP says whether a key is of one of the families, or has a rule of its own.
func isTCP(key string) bool {
	for _, f := range families {
		if strings.HasPrefix(key, f) {
			return true
		}
	}
	r := ruleOf(key)
	return r != nil && !r.unrelated
}

// since is a default that changed once, in a release.
func since(before int64, changed host.Version, n int64) func(*ground) amount {
	return func(g *ground) amount {
		if g.since(changed.Major, changed.Minor) {
			return amount{n: n, known: true, words: " (" + count(before) + " before Linux " + changed.String() + ")"}
		}
		return amount{n: before, known: true, words: " (" + count(n) + " since Linux " + changed.String() + ")"}
	}
}

// always is a default that did not change.
func always(n int64) func(*ground) amount {
	return func(*ground) amount { return amount{n: n, known: true} }
}
