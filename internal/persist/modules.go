package persist

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/knob"
)

// moduleFiles have nf_conntrack loaded before systemd-sysctl writes its settings, with its hash table in the size
// that it will have. Loading it tracks nothing by itself: since Linux 4.10 a rule has to ask for it
// (net/netfilter/nf_conntrack_proto.c nf_ct_netns_get), and a plan changes these settings only where it is loaded.
func (w work) moduleFiles() []File {
	tracked, option, buckets := false, "", ""
	for _, c := range w.sysctls {
		k := knob.Lookup(knob.Key(c.Target.Name))
		if k == nil || k.Module != knob.Tracking {
			continue
		}
		tracked = true
		if k.Option != "" {
			option, buckets = k.Option, c.To
		}
	}
	if !tracked {
		return nil
	}
	files := []File{{
		Path: ModulesFile, Mode: 0o644, Content: file(plain(knob.Tracking), "\n"),
		Why: "loads nf_conntrack before systemd-sysctl runs: its sysctls are not there until it is loaded, and would be passed over",
	}}
	if _, err := strconv.ParseUint(buckets, 10, 31); err == nil {
		files = append(files, File{
			Path: ModprobeFile, Mode: 0o644,
			Content: file("options ", plain(knob.Tracking), " ", plain(option), "=",
				plain(buckets), "\n"),
			Why: "gives the hash table of nf_conntrack its size whenever the module is loaded, by whomever; without effect where it is built into the kernel",
		})
	}
	return files
}

func isConntrack(key string) bool {
	k := knob.Find(knob.Key(key))
	return k != nil && k.Module == knob.Tracking
}
