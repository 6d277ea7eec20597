package prove

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// changed are settings of a namespace with a value that no kernel has by default.
func changed() map[string]string {
	return map[string]string{
		"net.core.somaxconn":               "7777",
		"net.ipv4.ip_local_port_range":     "20000 20999",
		"net.ipv4.ip_local_reserved_ports": "20100-20110",
		"net.ipv4.tcp_fin_timeout":         "17",
		"net.ipv4.tcp_keepalive_time":      "77",
		"net.ipv4.tcp_max_syn_backlog":     "7777",
		"net.ipv4.tcp_max_tw_buckets":      "7777",
		"net.ipv4.tcp_syncookies":          "0",
		"net.ipv4.tcp_timestamps":          "0",
		"net.ipv4.tcp_tw_reuse":            "1",
	}
}

var _ = register(Claim{
	ID:    "namespace-inherits-nothing",
	Limit: "ephemeral-ports",
	Says: "a new network namespace, as each container has, inherits none of the settings " +
		"of the one that it is made from: it begins with the kernel's defaults",
	Source: "net/ipv4/tcp_ipv4.c tcp_sk_init, net/core/net_namespace.c " +
		"net_defaults_init_net (4.11-6.18)",
	Unit:  "settings inherited",
	Takes: time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		keys := slices.Sorted(maps.Keys(changed()))
		w := b.World()
		was := must(w.Fresh(append(keys, "net.ipv4.tcp_rmem")...))
		for _, key := range keys {
			w.Sysctl(key, changed()[key])
		}
		w.Sysctl("net.ipv4.tcp_rmem", "4096 77777 777777")
		inside := must(w.Fresh(append(keys, "net.ipv4.tcp_rmem")...))
		o := Exactly(0, int64(len(equal(inside, changed()))))
		o.Formula = "none of " + strings.Join(keys, ", ")
		o.Expect("settings with the same value as in a namespace that was made before "+
			"the change", len(keys)+1, len(equal(inside, was)))
		o.Expect("net.ipv4.tcp_rmem, which is copied from the first namespace of the "+
			"host and not from the creator", fields(was["net.ipv4.tcp_rmem"]),
			fields(inside["net.ipv4.tcp_rmem"]))
		own := map[string]string{}
		for _, key := range keys {
			own[key] = must(w.Value(key))
		}
		o.Without("changed settings in the namespace itself", len(keys),
			len(equal(own, changed())))
		return o
	},
})

// equal are the keys that have the same value in both, white space apart.
func equal(a, b map[string]string) (keys []string) {
	for key, value := range a {
		if other, ok := b[key]; ok && fields(value) == fields(other) {
			keys = append(keys, key)
		}
	}
	return keys
}

func fields(s string) string { return strings.Join(strings.Fields(s), " ") }
