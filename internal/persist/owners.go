package persist

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// rivals are what other programs set, gathered once for all keys.
type rivals struct {
	known    []claimant
	mentions []script
	hidden   []string // files that may not be read
}

// claimant is one program's hold on keys; takes says what it does with one, if anything.
type claimant func(key string) (Owner, bool)

// owners gathers the other programs in the order in which they come to run at boot.
func owners(host fs.FS, reapplied []sysctld.Setting) rivals {
	root := &witness{root: host}
	r := rivals{mentions: scripts(root)}
	for _, find := range []func(fs.FS) []claimant{ufw, firewalld, cloudInit, bpftune,
		kubernetes} {
		r.known = append(r.known, find(root)...)
	}
	r.known = append(r.known, tuned(root, reapplied)...)
	r.hidden = root.denied
	return r
}

// of are the owners of one key.
func (r rivals) of(key string) (out []Owner) {
	for _, name := range knob.Names(key) {
		for _, s := range r.mentions {
			if line := s.mentions(name); line > 0 {
				out = append(out,
					Owner{Program: s.program, File: "/" + s.file, Line: line,
						Why: s.why})
			}
		}
	}
	for _, takes := range r.known {
		for _, name := range knob.Names(key) {
			if o, ok := takes(name); ok {
				out = append(out, o)
				break
			}
		}
	}
	return out
}

// enabled says whether the service manager starts a unit at boot: some target wants it, and
// it is not masked.
func enabled(root fs.FS, unit string) bool {
	if masked(root, "etc/systemd/system/"+unit) {
		return false
	}
	for _, dir := range unitPath {
		for _, target := range names(root, dir) {
			if strings.HasSuffix(target, ".wants") &&
				slices.Contains(names(root, path.Join(dir, target)), unit) {
				return true
			}
		}
	}
	return false
}

// text is a file's content, "" where there is none.
func text(root fs.FS, name string) string {
	data, err := sysctld.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return string(data)
}

// variable is the value of a line NAME=value of a shell's kind of file, the last one.
func variable(text, name string) (value string) {
	for line := range strings.Lines(text) {
		if key, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok &&
			strings.TrimSpace(key) == name {
			value = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return value
}

// ufw applies a sysctl file of its own when it starts (ufw-init-functions: sysctl -e -q -p
// $IPT_SYSCTL).
func ufw(root fs.FS) []claimant {
	file := strings.TrimPrefix(variable(text(root, "etc/default/ufw"), "IPT_SYSCTL"), "/")
	if file == "" || !strings.EqualFold(variable(text(root, "etc/ufw/ufw.conf"), "ENABLED"),
		"yes") {
		return nil
	}
	settings := sysctld.Parse(sysctld.Procps, "/"+file, []byte(text(root, file)))
	ordered := startsAfterSysctl(root, "ufw.service")
	return []claimant{func(key string) (Owner, bool) {
		w := sysctld.Decide(sysctld.Procps, settings, key)
		o := Owner{
			Program: "ufw",
			File:    w.File,
			Line:    w.Line,
			Value:   w.Value,
			Sure:    ordered,
			Why:     "sets it when the firewall starts",
		}
		if !ordered {
			o.Why += ", before or after systemd-sysctl: nothing orders the two"
		}
		return o, w.Set
	}}
}

// startsAfterSysctl reads the order from the unit; a unit with default dependencies comes
// after sysinit.target, and so after systemd-sysctl.service.
func startsAfterSysctl(root fs.FS, unit string) bool {
	early, ordered := false, false
	for _, file := range unitFilesOf(root, unit) {
		for _, e := range parseINI([]byte(text(root, file))) {
			switch e.key {
			case "DefaultDependencies":
				early = e.value == "no" || e.value == "false"
			case "After":
				ordered = ordered || slices.Contains(strings.Fields(e.value),
					"systemd-sysctl.service") ||
					slices.Contains(strings.Fields(e.value), "sysinit.target")
			}
		}
	}
	return ordered || !early
}

// firewalld unloads connection tracking when it stops, where it is told to; the values go with it.
func firewalld(root fs.FS) []claimant {
	const file = "etc/firewalld/firewalld.conf"
	if !enabled(root, "firewalld.service") ||
		!strings.EqualFold(variable(text(root, file), "CleanupModulesOnExit"), "yes") {
		return nil
	}
	return []claimant{func(key string) (Owner, bool) {
		return Owner{
			Program: "firewalld",
			File:    "/" + file,
			Why: "unloads nf_conntrack whenever it stops " +
				"(CleanupModulesOnExit=yes), and the kernel's default is back",
		}, isConntrack(key)
	}}
}

// kubernetes: kube-proxy writes these when it starts (cmd/kube-proxy/app/server_linux.go,
// conntrack settings).
func kubernetes(root fs.FS) []claimant {
	marks := []string{
		"var/lib/kube-proxy", "var/lib/kubelet/config.yaml", "etc/kubernetes/kubelet.conf",
		"etc/rancher/k3s", "etc/rancher/rke2",
		"var/lib/rancher/k3s", "var/snap/microk8s", "var/lib/k0s", "etc/origin/node",
	}
	for _, mark := range marks {
		if !exists(root, mark) {
			continue
		}
		return []claimant{func(key string) (Owner, bool) {
			switch strings.TrimPrefix(key, "net.netfilter.nf_conntrack_") {
			case "max", "tcp_timeout_established", "tcp_timeout_close_wait",
				"tcp_be_liberal", "udp_timeout", "udp_timeout_stream":
				return Owner{
					Program: "kube-proxy",
					File:    "/" + mark,
					Why: "sets it when it starts, from the conntrack " +
						"section of its configuration (max is " +
						"maxPerCore times the CPUs, at least min)",
				}, true
			}
			return Owner{}, false
		}}
	}
	return nil
}

// bpftune raises these as it sees fit (its src/*_tuner.c).
func bpftune(root fs.FS) []claimant {
	if !enabled(root, "bpftune.service") {
		return nil
	}
	keys := []string{
		"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
		"net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_syn_backlog",
		"net.ipv4.tcp_syncookies",
		"net.core.netdev_max_backlog", "net.core.netdev_budget",
		"net.core.netdev_budget_usecs", "net.core.rmem_max", "net.core.wmem_max",
	}
	return []claimant{func(key string) (Owner, bool) {
		return Owner{Program: "bpftune", Why: "changes it at run time"},
			slices.Contains(keys, key)
	}}
}

// cloudInit writes sysctl.d files and runs commands that its user data names.
func cloudInit(root fs.FS) []claimant {
	if exists(root, "etc/cloud/cloud-init.disabled") {
		return nil
	}
	files := []string{"var/lib/cloud/instance/user-data.txt", "etc/cloud/cloud.cfg"}
	for _, name := range names(root, "etc/cloud/cloud.cfg.d") {
		files = append(files, "etc/cloud/cloud.cfg.d/"+name)
	}
	var out []claimant
	for _, file := range files {
		s := script{program: "cloud-init", file: file, lines: code(text(root, file))}
		out = append(out, func(key string) (Owner, bool) {
			line := s.mentions(key)
			return Owner{
				Program: s.program,
				File:    "/" + file,
				Line:    line,
				Why: "names it: bootcmd runs at each boot, runcmd and " +
					"write_files at the first of an instance",
			}, line > 0
		})
	}
	return out
}
