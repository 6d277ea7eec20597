package observe

import (
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

func TestSysctlNames(t *testing.T) {
	names := sysctlNames([]*limit.Limit{
		{
			Needs: []host.Fact{host.Sysctl("net.ipv4.tcp_mem"), host.System("kernel"),
				host.All(host.ListenerKind)},
		},
	}, []*knob.Knob{
		{Name: "net.core.somaxconn"}, {Name: "backlog argument of listen()"},
		{Name: "RLIMIT_NOFILE soft"},
		{Name: "vm.max_map_count"}, {Name: "net.ipv4.conf.eth0/100.rp_filter"},
		{Name: "net."},
	})
	want := []string{
		somaxconn, "net.ipv4.conf.eth0/100.rp_filter", portRange, reservedPorts,
		"net.ipv4.tcp_mem", "vm.max_map_count",
	}
	if !slices.Equal(names, want) {
		t.Errorf("names %v", names)
	}
}

func TestWhyNoSysctl(t *testing.T) {
	const none = host.NoSetting
	whole := t.TempDir()
	for _, name := range []string{"fs/file-max", "kernel/osrelease", "net/core/somaxconn",
		"vm/overcommit_memory"} {
		writeFile(t, filepath.Join(whole, "sys", name), nil)
	}
	noNet := t.TempDir()
	writeFile(t, filepath.Join(noNet, "sys/kernel/osrelease"), nil)
	masked := t.TempDir()
	writeFile(t, filepath.Join(masked, "uptime"), nil)
	for _, c := range []struct {
		root    string
		name    string
		initial bool
		err     error
		want    string
	}{
		{whole, "net.ipv4.tcp_mem", true, fs.ErrNotExist, none},
		{whole, "net.ipv4.tcp_mem", false, fs.ErrNotExist, host.InChild},
		{whole, "net.ipv4.tcp_mem", false, fs.ErrPermission, host.Denied},
		{whole, "net.ipv4.tcp_tw_recycle", false, fs.ErrNotExist, none},
		{whole, "net.ipv6.neigh.default.gc_thresh3", false, fs.ErrNotExist, host.InChild},
		{whole, "net.netfilter.nf_conntrack_max", false, fs.ErrNotExist, host.NoConntrack},
		{whole, "net.nf_conntrack_max", true, fs.ErrNotExist, host.NoConntrack},
		{whole, "net.nf_conntrack_max", false, fs.ErrNotExist, host.InChild},
		{whole, "fs.epoll.max_user_watches", true, fs.ErrNotExist, none},
		{whole, "user.max_net_namespaces", true, fs.ErrNotExist, none},
		{noNet, "net.ipv4.tcp_mem", false, fs.ErrNotExist, host.Masked},
		{noNet, "net.netfilter.nf_conntrack_max", false, fs.ErrNotExist, host.Masked},
		{noNet, somaxconn, false, fs.ErrNotExist, host.Masked},
		{noNet, "fs.file-max", false, fs.ErrNotExist, host.Masked},
		{noNet, "kernel.threads-max", false, fs.ErrNotExist, none},
		{masked, "kernel.threads-max", false, fs.ErrNotExist, host.Masked},
		{masked, "vm.max_map_count", false, fs.ErrNotExist, host.Masked},
	} {
		s := subject{root: procfs.Root(c.root), initial: c.initial, child: !c.initial}
		if got := s.whyNoSysctl(c.name, c.err); got != c.want {
			t.Errorf("%s, initial %v, %v: %q, want %q", c.name, c.initial, c.err, got,
				c.want)
		}
	}
}
