package knob

import (
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// on is a host of which only the kernel is known; "" is none.
func on(t *testing.T, release string) Host {
	t.Helper()
	s := host.Snapshot{}
	if release != "" {
		s.Set(host.System("kernel"), release)
	}
	h := HostOf(s)
	if h.Kernel.Known() != (release != "") {
		t.Fatal(release)
	}
	return h
}

// Defaults that follow the memory, as kernels of hosts of that size showed them.
func TestComputedDefaults(t *testing.T) {
	s := host.Snapshot{}
	s.Set(host.System("kernel"), "6.18.44")
	s.Set(host.Meminfo("MemTotal"), "25312484")
	s.Set(host.System("cpus"), "2")
	for name, want := range map[string]int64{
		"net.ipv4.tcp_max_tw_buckets": 131072, "net.ipv4.tcp_max_orphans": 131072,
		"net.ipv4.tcp_max_syn_backlog": 2048, "net.netfilter.nf_conntrack_max": 262144,
		"kernel.pid_max": 32768, "fs.file-max": 2531248, "net.ipv4.tcp_rmem": 32 << 20,
		"net.ipv4.tcp_mem": 593261, "net.core.somaxconn": 4096,
	} {
		if a, _ := Lookup(name).Default.Amount(HostOf(s)); !a.Known || a.N != want {
			t.Errorf("%s: %+v, want %d", name, a, want)
		}
	}
	if v, ok := Lookup("net.ipv4.ip_local_port_range").Default.Fixed(host.Release{}); !ok ||
		v != "32768 60999" {
		t.Errorf("%q %v", v, ok)
	}
	if v, ok := Lookup("fs.file-max").Default.Fixed(host.Release{}); ok {
		t.Errorf("%q", v)
	}
}

// HostOf is that of a snapshot.
func HostOf(s host.Snapshot) Host {
	r := s.Read()
	return Host{r.Kernel(), r}
}
