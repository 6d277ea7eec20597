package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// Format is a way to hand a plan to another tool.
type Format string

// The formats, by the name of their consumer.
const (
	SysctlD    Format = "sysctl.d"
	Systemd    Format = "systemd"
	Ansible    Format = "ansible"
	Tuned      Format = "tuned"
	CloudInit  Format = "cloud-init"
	NixOS      Format = "nixos"
	Kubernetes Format = "kubernetes"
	Shell      Format = "shell"
)

// Formats lists them with what each is for.
func Formats() []struct {
	Format Format
	For    string
} {
	return []struct {
		Format Format
		For    string
	}{
		{SysctlD, "a file for /etc/sysctl.d"},
		{Systemd, "files for sysctl.d, modules-load.d, modprobe.d, drop-ins of services, .link files"},
		{Ansible, "a playbook with built-in modules only"},
		{Tuned, "a TuneD profile"},
		{CloudInit, "user data"},
		{NixOS, "a module"},
		{Kubernetes, "a strategic merge patch with the sysctls of a pod"},
		{Shell, "a script for sh that compares before it writes"},
	}
}

// File is a file that a consumer reads: its place, and what is in it. Executable is for scripts.
type File struct {
	Path       string
	Text       string
	Executable bool
}

// Export writes a plan for another tool. What the tool cannot do stands in comments: nothing is left out in silence. Pure.
func Export(p Plan, f Format) ([]File, error) {
	x := newExport(p)
	x.files = f != Kubernetes && f != Shell
	switch f {
	case SysctlD:
		return []File{{Path: sysctlFile, Text: x.sysctlD()}}, nil
	case Systemd:
		return x.systemd(), nil
	case Ansible:
		return []File{{Path: "maxconn.yml", Text: x.ansible()}}, nil
	case Tuned:
		return []File{{Path: "/etc/tuned/maxconn/tuned.conf", Text: x.tuned()}}, nil
	case CloudInit:
		return []File{{Path: "user-data", Text: x.cloudInit()}}, nil
	case NixOS:
		return []File{{Path: "maxconn.nix", Text: x.nixos()}}, nil
	case Kubernetes:
		return []File{{Path: "maxconn-patch.yaml", Text: x.kubernetes()}}, nil
	case Shell:
		return []File{{Path: "maxconn.sh", Text: x.shell(), Executable: true}}, nil
	}
	return nil, fmt.Errorf("there is no format %q", f)
}

// The files that a boot reads. Their names sort behind those of others, because the last one wins;
// those that maxconn apply owns have other names. No name comes from a snapshot, but for one: the
// directory of a drop-in is called as its unit (systemd.unit(5)), which IsService has accepted.
const (
	sysctlFile  = "/etc/sysctl.d/zz-maxconn-plan.conf"
	modulesFile = "/etc/modules-load.d/maxconn-plan.conf"
	optionsFile = "/etc/modprobe.d/zz-maxconn-plan.conf"
	unitDir     = "/etc/systemd/system/"
	dropIn      = "zz-maxconn-plan.conf"
	linkPrefix  = "/etc/systemd/network/10-maxconn-" // and the number of the file
	readme      = "/etc/maxconn.README"
)

// export is a plan, sorted by who can carry a change out.
type export struct {
	plan      Plan
	changes   []Change // all that can be carried out
	refused   []string // what cannot, with the reason
	sysctls   []Change
	units     []unitLimits // services of processes whose limits change
	processes []Change     // one a process, its soft limit
	listeners []Change
	links     []Change
	files     bool // the format is of files that are read at boot, in the host's own network namespace
}

// unitLimits is what a service needs at its next start.
type unitLimits struct{ unit, limits, why string }

func newExport(p Plan) export {
	x := export{plan: p}
	for _, c := range p.Changes {
		if why := unfitForScript(c); why != "" {
			x.refused = append(x.refused, fmt.Sprintf("left out: %s: %s", c.Setting, why))
			continue
		}
		x.changes = append(x.changes, c)
		switch c.Target.Kind {
		case host.SysctlKind:
			x.sysctls = append(x.sysctls, c)
		case host.ListenerKind:
			x.listeners = append(x.listeners, c)
		case host.LinkKind:
			x.links = append(x.links, c)
		case host.ProcessKind:
			if c.Target.Field == "soft" {
				x.addProcess(c)
			}
		}
	}
	return x
}

// addProcess keeps one entry a service: workers start with the limits of their master, so the largest counts.
func (x *export) addProcess(c Change) {
	x.processes = append(x.processes, c)
	if !IsService(c.Unit) {
		return
	}
	c.Limits = strings.TrimSuffix(c.Limits, ":unlimited") // a unit file never asks for infinity
	i := slices.IndexFunc(x.units, func(u unitLimits) bool { return u.unit == c.Unit })
	switch {
	case i < 0:
		x.units = append(x.units, unitLimits{c.Unit, c.Limits, c.Why})
	case grows(strings.ReplaceAll(x.units[i].limits, ":", " "), strings.ReplaceAll(c.Limits, ":", " ")):
		x.units[i].limits, x.units[i].why = c.Limits, c.Why
	}
}

// to is the wanted value of a sysctl of the plan, "" where it stays.
func (x export) to(name string) string {
	for _, c := range x.sysctls {
		if c.Target.Name == name {
			return c.To
		}
	}
	return ""
}

// hashSize is the wanted size of conntrack's hash table, "" where it stays. The module takes it when it is loaded.
func (x export) hashSize() string { return x.to(conntrackBuckets) }

// tracks says whether a key of the plan is there only after nf_conntrack was loaded.
func (x export) tracks() bool {
	return slices.ContainsFunc(x.sysctls, func(c Change) bool {
		k := knob.Lookup(c.Target.Name)
		return k != nil && k.Module == knob.Tracking
	})
}

// about is what every file begins with: whose plan it is, and whether it holds.
func (x export) about() []string {
	name := x.plan.Host.Name
	if name == "" {
		name = "an unnamed host"
	}
	out := []string{fmt.Sprintf("maxconn: plan for %s, Linux %s.", name, x.plan.Host.Kernel)}
	if !x.plan.Holds {
		out = append(out, "After it the workload does not fit yet, or that could not be told: see maxconn plan.")
	}
	elsewhere := func(c Change) bool { return strings.HasPrefix(c.Target.Name, "net.") }
	if x.files && x.plan.Host.Scope == "child" && slices.ContainsFunc(x.sysctls, elsewhere) {
		out = append(out, "It was made in a network namespace other than the host's own, such as that of a container; files like this one set the",
			"net. values of the host's own only. There, use --format kubernetes, docker run --sysctl, or maxconn apply --netns.")
	}
	return out
}

// beyond is what sysctls alone do not do; other formats leave out what they can.
func (x export) beyond(units bool) (out []string) {
	if !units {
		for _, u := range x.units {
			out = append(out, fmt.Sprintf("LimitNOFILE=%s in %s, at its next start.", u.limits, u.unit))
		}
	}
	for _, c := range x.processes {
		switch {
		case IsService(c.Unit):
		case c.Unit != "":
			out = append(out, fmt.Sprintf("%s: descriptor limits %s, at the next start of %s.", c.Setting, c.Limits, c.Unit))
		default:
			out = append(out, fmt.Sprintf("%s: descriptor limits %s, by whoever starts it (ulimit -n).", c.Setting, c.Limits))
		}
	}
	for _, c := range x.listeners {
		out = append(out, fmt.Sprintf("%s: %s in place of %s; the program has to ask for it, or on"+
			" the running one: maxconn apply --listener %s=%s",
			c.Setting, c.To, c.From, plainListener(c), c.To))
	}
	if !units {
		for _, c := range x.links {
			out = append(out, fmt.Sprintf("ip link set dev %s txqueuelen %s", c.Target.Name, c.To))
		}
	}
	return append(out, x.refused...)
}

// plainListener is the address and port without the number of the member.
func plainListener(c Change) string {
	name, _, _ := strings.Cut(c.Target.Name, "~")
	return name
}
