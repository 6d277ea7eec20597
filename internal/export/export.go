// Package export hands a plan to other tools. What a tool lays or sets at boot is what package
// persist would write for the plan; here it takes the form that the tool reads. It is pure.
package export

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
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

// form is a format with what it is for, and how it is written.
type form struct {
	Format Format
	For    string
	write  func(export) []File
}

// Formats lists them with what each is for.
func Formats() []form {
	one := func(path string, text func(export) string) func(export) []File {
		return func(x export) []File { return []File{{Path: path, Text: text(x)}} }
	}
	return []form{
		{SysctlD, "a file for /etc/sysctl.d", one(persist.ExportedSysctl, export.sysctlD)},
		{Systemd, "files for sysctl.d, modules-load.d, modprobe.d, drop-ins of services, " +
			"udev rules", export.systemd},
		{Ansible, "a playbook with built-in modules only",
			one("maxconn.yml", export.ansible)},
		{Tuned, "a TuneD profile", one("/etc/tuned/maxconn/tuned.conf", export.tuned)},
		{CloudInit, "user data", one("user-data", export.cloudInit)},
		{NixOS, "a module", one("maxconn.nix", export.nixos)},
		{Kubernetes, "a strategic merge patch with the sysctls of a pod",
			one("maxconn-patch.yaml", export.kubernetes)},
		{Shell, "a script for sh that compares before it writes", func(x export) []File {
			return []File{{Path: "maxconn.sh", Text: x.shell(), Executable: true}}
		}},
	}
}

// File is a file that a consumer reads: its place, and what is in it. Executable is for scripts.
type File struct {
	Path       string
	Text       string
	Executable bool
}

// Export writes a plan for another tool. The options tell what is on the host: the snapshot that
// the plan was made from, and the root directory, which is empty where it is not known. What the
// tool cannot do stands in comments: nothing is left out in silence.
func Export(p plan.Plan, o persist.Options, f Format) ([]File, error) {
	i := slices.IndexFunc(Formats(), func(x form) bool { return x.Format == f })
	if i < 0 {
		return nil, fmt.Errorf("there is no format %q", f)
	}
	x, err := newExport(p, o, f != Kubernetes && f != Shell)
	if err != nil {
		return nil, err
	}
	return Formats()[i].write(x), nil
}

const readme = "/etc/maxconn.README"

// export is a plan, sorted by who can carry a change out.
type export struct {
	plan    plan.Plan    // with the changes that can be carried out
	boot    persist.Boot // what of them files keep
	about   []string     // what every file begins with
	refused []string     // what cannot be carried out, with the reason
}

// newExport sorts the changes. files says that the format is of files that are read at boot, in the
// host's own network namespace.
func newExport(p plan.Plan, o persist.Options, files bool) (x export, err error) {
	x.plan = p
	x.plan.Changes = slices.DeleteFunc(slices.Clone(p.Changes), func(c plan.Change) bool {
		why := unfit(c)
		if why != "" {
			x.refused = append(x.refused, "left out: "+c.Setting+": "+why)
		}
		return why != ""
	})
	x.about = about(x.plan, files)
	o.About = x.about
	x.boot, err = persist.Sort(x.plan, o)
	return x, err
}

// unfit is why a change can stand in no file or script, or "": to what files need it adds the
// process ID, the limits and the listener, which a command takes as words.
func unfit(c plan.Change) string {
	if why := plan.Unfit(c); why != "" {
		return why
	}
	switch c.Target.Kind {
	case host.ProcessKind:
		soft, hard, _ := strings.Cut(c.Limits, ":")
		switch {
		case !isCount(c.Target.Name):
			return "not a process ID"
		case !isCount(soft) || !isCount(hard) && hard != "unlimited":
			return "the limits are no numbers"
		}
	case host.ListenerKind:
		_, err := netip.ParseAddrPort(listener(c))
		switch {
		case err != nil:
			return "not the address of a listener"
		case !isCount(c.To):
			return "the length is no number"
		}
	}
	return ""
}

func isCount(text string) bool {
	n, err := strconv.ParseUint(text, 10, 31)
	return err == nil && n > 0
}

// listener is the address and port without the number of the member.
func listener(c plan.Change) string {
	name, _, _ := strings.Cut(c.Target.Name, "~")
	return name
}

// about says whose plan it is, and whether it holds.
func about(p plan.Plan, files bool) []string {
	name := p.Host.Name
	if name == "" {
		name = "an unnamed host"
	}
	out := []string{fmt.Sprintf("maxconn: plan for %s, Linux %s.", name, p.Host.Kernel)}
	if !p.Holds {
		out = append(out, "After it the workload does not fit yet, or that could not be "+
			"told: see maxconn plan.")
	}
	elsewhere := func(c plan.Change) bool { return strings.HasPrefix(c.Target.Name, "net.") }
	if files && p.Host.Scope == "child" && slices.ContainsFunc(p.Changes, elsewhere) {
		out = append(out,
			"It was made in a network namespace other than the host's own, such as "+
				"that of a container; files like this one set the net. values of "+
				"the host's own only. There, use --format kubernetes, docker run "+
				"--sysctl, or maxconn apply --netns.")
	}
	return out
}

// beyond is what no file does, below a heading.
func (x export) beyond(heading string) []string {
	var out []string
	for _, u := range x.boot.Left {
		c := u.Change
		out = append(out, c.Setting+": "+c.To+" in place of "+c.From+": "+u.Why+".")
	}
	return under(heading, append(out, x.refused...))
}

// beyondSysctls is what sysctls alone do not do.
func (x export) beyondSysctls(heading string) (out []string) {
	for _, u := range x.boot.Units {
		out = append(out, "LimitNOFILE="+u.Limits()+" in "+u.Name+", at its next start.")
	}
	return under(heading, append(append(out, x.links()...), x.beyond("")...))
}

// links are the commands for devices.
func (x export) links() (out []string) {
	for _, c := range x.boot.Links {
		out = append(out, "ip link set dev "+c.Target.Name+" txqueuelen "+c.To)
	}
	return out
}

// under are texts below a heading, nothing where there are none.
func under(heading string, texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return append([]string{heading}, texts...)
}

// conf collects the text of a file of settings: constants, comments and plain words.
type conf = encode.Builder[encode.Conf]

func plain(s string) encode.Conf { return encode.Plain[encode.Conf](s) }

func comments(texts ...string) encode.Conf { return encode.Comment[encode.Conf]("#", texts...) }

// laid are the files that a tool puts in place.
func (x export) laid() (files []File) {
	for _, f := range x.boot.Files() {
		files = append(files, File{Path: f.Path, Text: string(f.Content)})
	}
	return files
}

// sysctlD is the file for sysctl.d, as sysctl(8) and systemd-sysctl read it.
func (x export) sysctlD() string {
	text := string(comments(x.about...))
	files := x.laid()
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == persist.ExportedSysctl })
	if i >= 0 {
		text = files[i].Text
	}
	more := x.beyondSysctls("What is no sysctl, and so not done by this file:")
	if len(more) > 0 {
		text += "\n" + string(comments(more...))
	}
	return text
}

// systemd is all files that a boot with systemd reads.
func (x export) systemd() []File {
	files := x.laid()
	more := x.beyond("No file does this:")
	if len(more) > 0 || len(files) == 0 {
		text := comments(x.about...) + comments(more...)
		files = append(files, File{Path: readme, Text: string(text)})
	}
	return files
}

// tuned is a profile of TuneD, which expands ${...} in values, and with it runs commands
// (tuned/profiles/functions): a plain value has none.
func (x export) tuned() string {
	var b conf
	b.Write(
		comments(x.about...),
		comments("Add include=PROFILE to [main] to keep what the present "+
			"profile sets: tuned-adm active names it."),
		"[main]\nsummary=Connection limits by maxconn\n",
	)
	if len(x.boot.Sysctls) > 0 {
		b.Write("\n[sysctl]\n")
	}
	for _, c := range x.boot.Sysctls {
		b.Write(comments(persist.Reason(c)), plain(c.Target.Name), "=", plain(c.To), "\n")
	}
	b.Write("\n", comments(x.beyondSysctls("What TuneD does not do:")...))
	return b.String()
}

func nixComments(mark encode.Nix, texts ...string) encode.Nix {
	return encode.Comment(mark, texts...)
}

// nixos is a module.
func (x export) nixos() string {
	var b encode.Builder[encode.Nix]
	b.Write(nixComments("#", x.about...), "{ ... }:\n{\n")
	if len(x.boot.Sysctls) > 0 {
		b.Write("  boot.kernel.sysctl = {\n")
		for _, c := range x.boot.Sysctls {
			b.Write(nixComments("    #", persist.Reason(c)))
			b.Write("    ", encode.NixString(c.Target.Name), " = ", nixValue(c.To),
				";\n")
		}
		b.Write("  };\n")
	}
	module, option, value := x.boot.Module()
	if module != "" {
		b.Write("  boot.kernelModules = [ ", encode.NixString(module), " ];\n")
	}
	if value != "" {
		b.Write("  boot.extraModprobeConfig = ",
			encode.NixString("options "+module+" "+option+"="+value), ";\n")
	}
	for _, u := range x.boot.Units {
		b.Write("  systemd.services.",
			encode.NixString(strings.TrimSuffix(u.Name, ".service")),
			".serviceConfig.LimitNOFILE = ", encode.NixString(u.Limits()), ";\n")
	}
	b.Write("}\n")
	more := append(x.links(), x.beyond("")...)
	b.Write(nixComments("#", under("What this module does not do:", more)...))
	return b.String()
}

// nixValue is a number, or a string where it is more than one.
func nixValue(v string) encode.Nix {
	if v != "" && strings.Trim(v, "0123456789") == "" {
		return encode.Plain[encode.Nix](v)
	}
	return encode.NixString(v)
}
