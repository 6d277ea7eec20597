package persist

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/knob"
)

// moduleFiles have nf_conntrack loaded before systemd-sysctl writes its settings, with its
// hash table in the size that it will have. Loading it tracks nothing by itself: since
// Linux 4.10 a rule has to ask for it (net/netfilter/nf_conntrack_proto.c nf_ct_netns_get),
// and a plan changes these settings only where it is loaded.
func (b Boot) moduleFiles() []File {
	module, option, size := b.Module()
	if module == "" {
		return nil
	}
	files := []File{{
		Path: b.paths.modules, Mode: 0o644, Content: b.file(plain(module), "\n"),
		Why: "loads nf_conntrack before systemd-sysctl runs: its sysctls are not there " +
			"until it is loaded, and would be ignored",
	}}
	if _, err := strconv.ParseUint(size, 10, 31); err == nil {
		files = append(files, File{
			Path: b.paths.modprobe, Mode: 0o644,
			Content: b.file("options ", plain(module), " ", plain(option), "=",
				plain(size), "\n"),
			Why: "gives the hash table of nf_conntrack its size whenever the " +
				"module is loaded; without effect where it is built into " +
				"the kernel",
		})
	}
	return files
}

// Module is the module that has to be loaded before the sysctls are there, "" where there is none,
// and its option for a value that it takes when it is loaded, "" where that stays.
func (b Boot) Module() (name, option, value string) {
	for _, c := range b.Sysctls {
		k := knob.Lookup(knob.Key(c.Target.Name))
		if k == nil || k.Module != knob.Tracking {
			continue
		}
		name = k.Module
		if k.Option != "" {
			option, value = k.Option, c.To
		}
	}
	return name, option, value
}

func isConntrack(key string) bool {
	k := knob.Find(knob.Key(key))
	return k != nil && k.Module == knob.Tracking
}
