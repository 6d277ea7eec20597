package knob_test

import (
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// What changed with a release, with one on each side of it, and what distributions make of it: the
// default, and the bounds of the (last) number. "-" is a setting that the kernel does not have.
func TestRowsByRelease(t *testing.T) {
	for _, c := range []struct {
		name, kernel, standard string
		low, top               int64
	}{
		// 79e9fed46038, 4.18; EL8 is 4.18
		{"net.ipv4.tcp_tw_reuse", "4.17.19", "0", -1 << 31, 1<<31 - 1},
		{"net.ipv4.tcp_tw_reuse", "4.18.0", "2", 0, 2},
		{"net.ipv4.tcp_tw_reuse", "4.18.0-553.el8_10.x86_64", "2", 0, 2},
		{"net.ipv4.tcp_tw_reuse", "4.15.0-213-generic", "0", -1 << 31, 1<<31 - 1},
		// 19f92a030ca6, 5.4
		{"net.core.somaxconn", "5.3.18", "128", 0, 1<<31 - 1},
		{"net.core.somaxconn", "5.4.0", "4096", 0, 1<<31 - 1},
		{"net.core.somaxconn", "5.4.0-216-generic", "4096", 0, 1<<31 - 1},
		// 8b6861390ffe, 6.15; 0 is refused since 6.19
		{"net.netfilter.nf_conntrack_max", "6.14.11", "", -1 << 31, 1<<31 - 1},
		{"net.netfilter.nf_conntrack_max", "6.15.0", "", 0, 1<<31 - 1},
		{"net.netfilter.nf_conntrack_max", "6.19.0", "", 1, 1<<31 - 1},
		// af6d10345ca7, 6.3
		{"net.ipv6.route.max_size", "6.2.16", "4096", -1 << 31, 1<<31 - 1},
		{"net.ipv6.route.max_size", "6.3.0", "2147483647", -1 << 31, 1<<31 - 1},
		{"net.ipv6.route.max_size", "6.1.0-28-amd64", "4096", -1 << 31, 1<<31 - 1},
		// ffe4ccd359d0, 6.19
		{"net.core.qdisc_max_burst", "6.18.44", "-", 0, 0},
		{"net.core.qdisc_max_burst", "6.19.0", "1000", 0, 1<<31 - 1},
		// 1280c26228bd, 6.15
		{"net.ipv4.tcp_rto_max_ms", "6.14.11", "-", 0, 0},
		{"net.ipv4.tcp_rto_max_ms", "6.15.0", "120000", 1000, 120000},
		// 7f4f65bf5d8c, 4.9
		{"user.max_net_namespaces", "4.8.17", "-", 0, 0},
		{"user.max_net_namespaces", "4.9.0", "", 0, 1<<31 - 1},
		// ca6a6f93867a, 6.14
		{"net.ipv4.tcp_tw_reuse_delay", "6.12.107", "-", 0, 0},
		{"net.ipv4.tcp_tw_reuse_delay", "6.14.0", "1000", 1, 60000},
		// 4396e46187ca, 4.12
		{"net.ipv4.tcp_tw_recycle", "4.11.12", "0", -1 << 31, 1<<31 - 1},
		{"net.ipv4.tcp_tw_recycle", "4.12.0", "-", 0, 0},
	} {
		kernel, err := host.ParseRelease(c.kernel)
		k := knob.Lookup(c.name)
		if err != nil || k == nil {
			t.Fatalf("%s on %s: %v, %v", c.name, c.kernel, k, err)
		}
		if there := isThere(k, kernel); !there || c.standard == "-" {
			if there != (c.standard != "-") {
				t.Errorf("%s is there on %s: %v", c.name, c.kernel, there)
			}
			continue
		}
		if have, fixed := k.Default.Fixed(kernel); fixed && have != c.standard ||
			!fixed && c.standard != "" {
			t.Errorf("%s on %s is %s by default, want %s", c.name, c.kernel, have,
				c.standard)
		}
		if b := k.Takes.At(kernel); b.Low != c.low || b.Top != c.top {
			t.Errorf("%s on %s takes %d to %d, want %d to %d", c.name, c.kernel, b.Low,
				b.Top, c.low, c.top)
		}
	}
}

func isThere(k *knob.Knob, r host.Release) bool {
	come, _ := k.Since.Reached(r)
	return (k.Since.None() || come) && !k.Gone(r)
}
