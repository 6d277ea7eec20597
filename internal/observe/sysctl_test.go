package observe

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

func TestSysctlNames(t *testing.T) {
	names := sysctlNames([]*limit.Limit{
		{
			Needs: []host.Fact{host.Sysctl("net.ipv4.tcp_mem"), host.System("kernel"), host.All(host.ListenerKind)},
			Knobs: []limit.Knob{
				{Name: "net.core.somaxconn"}, {Name: "backlog argument of listen()"}, {Name: "RLIMIT_NOFILE soft"}, {Name: "vm.max_map_count"},
				{Name: "net.ipv4.conf.eth0/100.rp_filter"}, {Name: "net.ipv4.tcp_rmem, net.ipv4.tcp_wmem"}, {Name: "e.g. nothing"}, {Name: "net."},
			},
		},
	})
	want := []string{
		somaxconn, "net.ipv4.conf.eth0/100.rp_filter", portRange, reservedPorts, "net.ipv4.tcp_mem", "vm.max_map_count",
	}
	if !slices.Equal(names, want) {
		t.Errorf("names %v", names)
	}
}

func TestWhyNoSysctl(t *testing.T) {
	for _, c := range []struct {
		name    string
		initial bool
		err     error
		want    string
	}{
		{"net.ipv4.tcp_mem", true, fs.ErrNotExist, "this kernel has no such setting"},
		{"net.ipv4.tcp_mem", false, fs.ErrNotExist, whyChild},
		{"net.ipv4.tcp_mem", false, fs.ErrPermission, whyDenied},
		{"net.ipv4.tcp_tw_recycle", false, fs.ErrNotExist, "this kernel has no such setting"},
		{"net.ipv6.neigh.default.gc_thresh3", false, fs.ErrNotExist, whyChild},
		{"net.netfilter.nf_conntrack_max", false, fs.ErrNotExist, whyNoConntrack},
		{"net.nf_conntrack_max", true, fs.ErrNotExist, whyNoConntrack},
		{"net.nf_conntrack_max", false, fs.ErrNotExist, whyChild},
	} {
		s := subject{initial: c.initial}
		if got := s.whyNoSysctl(c.name, c.err); got != c.want {
			t.Errorf("%s, initial %v, %v: %q, want %q", c.name, c.initial, c.err, got, c.want)
		}
	}
}
