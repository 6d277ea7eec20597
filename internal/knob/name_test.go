package knob

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	for written, want := range map[string]string{
		"net.core.somaxconn":                  "net.core.somaxconn",
		"net/core/somaxconn":                  "net.core.somaxconn",
		"/net//core/./somaxconn":              "net.core.somaxconn",
		"net.ipv4.conf.eth0/100.forwarding":   "net.ipv4.conf.eth0/100.forwarding",
		"net/ipv4/conf/eth0.100/forwarding":   "net.ipv4.conf.eth0/100.forwarding",
		"net..core.somaxconn":                 "net.core.somaxconn",
		"net/ipv4.tcp_fin_timeout":            "net.ipv4/tcp_fin_timeout",
		"somaxconn":                           "somaxconn",
		"net.ipv4.conf.\xff.forwarding":       "net.ipv4.conf.\xff.forwarding",
		"net/ipv4/conf/*/accept_source_route": "net.ipv4.conf.*.accept_source_route",
		"":                                    "",
	} {
		if got := Key(written); got != want || KeyAt(Path(written)) != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	for key, want := range map[string]string{
		"net.core.somaxconn":                "net/core/somaxconn",
		"net/core/somaxconn":                "net/core/somaxconn",
		"net.ipv4.conf.eth0/100.rp_filter":  "net/ipv4/conf/eth0.100/rp_filter",
		"net/ipv4/conf/eth0.100/rp_filter":  "net/ipv4/conf/eth0.100/rp_filter",
		"net.ipv4.neigh.default.gc_thresh1": "net/ipv4/neigh/default/gc_thresh1",
		"kernel":                            "kernel",
		"net.ipv4.conf.//.rp_filter":        "",
		"net/../../etc/passwd":              "",
		"net.core.somaxconn\n":              "",
		"net.core.\x00":                     "",
		"/net/core/somaxconn":               "",
		".net":                              "",
		"net.":                              "",
		"":                                  "",
	} {
		got, err := File(key)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", key, got, err, want)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{
		"net.core.somaxconn", "net/ipv4/conf/eth0.100/x", "..", "a/./b", "a.///b",
		"net.ipv4.conf.eth0/1.x",
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, written string) {
		if key := Key(written); KeyAt(Path(written)) != key {
			t.Errorf("%q: key %q, path %q", written, key, Path(written))
		}
		if IsKey(written) && Key(written) != written {
			t.Errorf("%q is spelled %q", written, Key(written))
		}
		path, err := File(written)
		if err != nil {
			return
		}
		if !filepath.IsLocal(path) || path != Path(written) {
			t.Errorf("%q: file %q, path %q, key %q", written, path, Path(written),
				Key(written))
		}
	})
}

func TestIsSysctl(t *testing.T) {
	for name, want := range map[string]bool{
		"net.core.somaxconn": true, "net.ipv4.conf.eth0/100.rp_filter": true,
		"vm.max_map_count": true,
		"fs.nr_open":       true, "user.max_net_namespaces": true, "fs": false,
		"fs.":           false,
		"":              false,
		"RLIMIT_NOFILE": false, "backlog argument of listen()": false, "a.b": false,
		"net.x y": false,
	} {
		if IsSysctl(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestNamesOfOneValue(t *testing.T) {
	for key, want := range map[string]string{
		"net/nf_conntrack_max": "net.nf_conntrack_max " +
			"net.netfilter.nf_conntrack_max",
		"net.netfilter.nf_conntrack_max": "net.netfilter.nf_conntrack_max " +
			"net.nf_conntrack_max",
		"net.netfilter.nf_conntrack_buckets": "net.netfilter.nf_conntrack_buckets",
	} {
		if have := strings.Join(Names(key), " "); have != want {
			t.Errorf("%s: %s", key, have)
		}
	}
	for key, want := range map[string]string{
		"net.nf_conntrack_max":                    "net.netfilter.nf_conntrack_max",
		"net.ipv4.ip_conntrack_max":               "net.netfilter.nf_conntrack_max",
		"net.ipv4.netfilter.ip_conntrack_max":     "net.netfilter.nf_conntrack_max",
		"net.ipv4.netfilter.ip_conntrack_buckets": "net.netfilter.nf_conntrack_buckets",
		"net.core.somaxconn":                      "net.core.somaxconn",
	} {
		if have := Main(key); have != want || !slices.Contains(Names(key), Key(key)) {
			t.Errorf("%s: %s", key, have)
		}
	}
}
