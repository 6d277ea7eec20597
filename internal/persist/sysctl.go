package persist

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// sysctlFiles is the one file, with what it held before and the plan does not touch.
func (w Boot) sysctlFiles() []File {
	if len(w.Sysctls) == 0 {
		return nil
	}
	var b conf
	b.Write("# Files are read in the order of their names, and this name comes last. ",
		"Other settings belong into other files.\n")
	for _, block := range w.untouched() {
		b.Write("\n", block)
	}
	for _, c := range w.Sysctls {
		b.Write("\n", comment(Reason(c)), plain(c.Target.Name), " = ", plain(c.To), "\n")
	}
	return []File{{
		Path: w.paths.sysctl, Mode: 0o644, Content: w.file(b.Text()),
		Why:   "sets " + count(len(w.Sysctls), "sysctl") + " at each boot, as they are now",
		Keeps: targets(w.Sysctls),
	}}
}

func targets(changes []plan.Change) (out []plan.Target) {
	for _, c := range changes {
		out = append(out, c.Target)
	}
	return out
}

// untouched are the assignments of the file as it is, with the comments right above them. maxconn
// wrote them, or root. Another tool's file is the plan's alone.
func (w Boot) untouched() (blocks []encode.Conf) {
	have, err := sysctld.ReadFile(w.Root, SysctlFile[1:])
	if err != nil || w.About != nil {
		return nil // not there; what may not be read may not be written either
	}
	var above string
	for line := range strings.Lines(string(have)) {
		line = strings.TrimRight(line, "\r\n") + "\n"
		found := sysctld.Parse(sysctld.Systemd, SysctlFile, []byte(line))
		switch {
		case strings.HasPrefix(line, "#"):
			above += line
			continue
		case len(found) == 1 && !w.sets(found[0].Key):
			blocks = append(blocks, encode.Conf(above+line))
		}
		above = ""
	}
	return blocks
}

func (w Boot) sets(key string) bool {
	for _, c := range w.Sysctls {
		if slices.Contains(knob.Names(c.Target.Name), key) {
			return true
		}
	}
	return false
}

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
			Why: "gives the hash table of nf_conntrack its size whenever the module " +
				"is loaded; without effect where it is built into the kernel",
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

// linkFiles are udev rules, one file a device, whose name plan.IsDevice has accepted: it holds
// nothing that leads to another directory or is a pattern of udev.
func (b Boot) linkFiles() (files []File) {
	for _, c := range b.Links {
		dev, to := c.Target.Name, c.To
		match := `=="` + plain(dev) + `", `
		set := `ATTR{tx_queue_len}="` + plain(to) + "\"\n"
		files = append(files, File{
			Path: b.paths.rules + dev + ".rules", Mode: 0o644,
			Content: b.file(
				comment(Reason(c)),
				"# Two lines: a device that is renamed has its name in NAME "+
					"and, in the event of the ",
				"renaming, in KERNEL.\n",
				`ACTION=="add|move", SUBSYSTEM=="net", NAME`+match+set,
				`ACTION=="add|move", SUBSYSTEM=="net", KERNEL`+match+`NAME=="", `+
					set,
			),
			Why: "sets txqueuelen of " + dev + " to " + to +
				" when the device appears, at each boot",
			Keeps: []plan.Target{c.Target},
		})
	}
	return files
}
