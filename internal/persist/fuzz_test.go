package persist

import (
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// settingsOf is what systemd-sysctl makes of a file.
func settingsOf(data []byte) map[string]string {
	out := map[string]string{}
	for _, s := range sysctld.Parse(sysctld.Systemd, "f", data) {
		out[s.Key] = s.Value
		if s.Exclude {
			out[s.Key] = "-"
		}
	}
	return out
}

func canonicalName(name string) string { return knob.Key(name) }

// FuzzTree: whatever the files of a host hold, the winners can be computed. The seeds are a
// profile of TuneD (Fedora's throughput-performance, shortened), a unit, and ufw's file
// (Ubuntu's, shortened).
func FuzzTree(f *testing.F) {
	f.Add([]byte("[main]\nsummary=x\ninclude=balanced\n[sysctl]\nnet.core.somaxconn=>2048\nvm.swappiness=10\n"),
		[]byte("[Service]\nExecStart=/usr/sbin/nginx -g \\\n  'daemon "+
			"on;'\nLimitNOFILE=1024:524288\n"),
		[]byte("net/ipv4/conf/all/rp_filter=1\nnet/ipv4/tcp_syncookies=0\n"))
	f.Fuzz(func(t *testing.T, profile, unit, conf []byte) {
		root := fstest.MapFS{
			"etc/tuned/active_profile":                     {Data: []byte("web")},
			"etc/tuned/web/tuned.conf":                     {Data: profile},
			"etc/tuned/balanced/tuned.conf":                {Data: profile},
			"etc/tuned/tuned-main.conf":                    {Data: unit},
			"etc/systemd/system/nginx.service":             {Data: unit},
			"etc/systemd/system/nginx.service.d/zzzz.conf": {Data: unit},
			"etc/default/ufw": {Data: []byte(
				"IPT_SYSCTL=/etc/ufw/sysctl.conf\n")},
			"etc/ufw/ufw.conf": {Data: []byte(
				"ENABLED=yes\n")},
			"etc/ufw/sysctl.conf": {Data: conf},
			"etc/rc.local":        {Data: conf, Mode: 0o755},
			"etc/sysctl.conf":     {Data: conf},
		}
		keys := []string{"net.core.somaxconn", "net.ipv4.tcp_syncookies",
			"net.netfilter.nf_conntrack_max", ""}
		if got := next(root, sysctld.Read(root), keys); len(got) != len(keys) {
			t.Error(got)
		}
		configured(root, "nginx.service", dropInName)
		lateDropIn(root, "nginx.service", dropInName)
		for _, e := range parseINI(unit) {
			if e.line < 1 {
				t.Error(e)
			}
		}
	})
}
