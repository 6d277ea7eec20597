package plan

import (
	"strings"
)

// sysctlD is a file for sysctl.d, as sysctl(8) and systemd-sysctl read it.
func (x export) sysctlD() string {
	text := comments("#", x.about()...) + x.assignments()
	if more := x.beyond(false); len(more) > 0 {
		text += "\n" + comments("#", "What is no sysctl, and so not done by this file:") + comments("#", more...)
	}
	return text
}

// assignments are the sysctls, each with its reason, in the order in which the kernel takes them.
func (x export) assignments() string {
	var b strings.Builder
	for _, c := range x.sysctls {
		b.WriteString("\n" + comments("#", "Was "+shown(c.From)+". "+c.Why+"."))
		b.WriteString(c.Target.Name + " = " + c.To + "\n")
	}
	return b.String()
}

// systemd is all files that a boot with systemd reads.
func (x export) systemd() (files []File) {
	head := comments("#", x.about()...)
	if len(x.sysctls) > 0 {
		files = append(files, File{Path: sysctlFile, Text: head + x.assignments()})
	}
	if x.tracks() {
		files = append(files, File{Path: modulesFile, Text: head + comments("#", "Before systemd-sysctl runs, so that the keys of nf_conntrack are there.") + "nf_conntrack\n"})
	}
	if n := x.hashSize(); n != "" {
		files = append(files, File{Path: optionsFile, Text: head + "options nf_conntrack hashsize=" + n + "\n"})
	}
	for _, u := range x.units {
		files = append(files, File{Path: "/etc/systemd/system/" + unitName(u.unit) + ".d/" + dropIn,
			Text: head + comments("#", u.why+".") + "[Service]\nLimitNOFILE=" + u.limits + "\n"})
	}
	for _, c := range x.links {
		files = append(files, File{Path: "/etc/systemd/network/10-maxconn-" + oneWord(c.Target.Name) + ".link",
			Text: head + comments("#", "Was "+c.From+". "+c.Why+".") + "[Match]\nOriginalName=" + oneWord(c.Target.Name) + "\n\n[Link]\nTransmitQueueLength=" + c.To + "\n"})
	}
	if more := x.beyond(true); len(more) > 0 || len(files) == 0 {
		files = append(files, File{Path: "/etc/maxconn.README", Text: head + comments("#", append([]string{"No file does this:"}, more...)...)})
	}
	return files
}

// unitName keeps a unit's name a name: a snapshot comes from somebody else.
func unitName(unit string) string { return strings.ReplaceAll(oneWord(unit), "/", "-") }

// oneWord keeps what a snapshot says from becoming two words, or two lines.
func oneWord(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'`$;&|<>\\{}()*?#", r) {
			return '_'
		}
		return r
	}, s)
}

// tuned is a profile of TuneD.
func (x export) tuned() string {
	var b strings.Builder
	b.WriteString(comments("#", x.about()...))
	b.WriteString(comments("#", "Add include=PROFILE to [main] to keep what the present profile sets: tuned-adm active names it."))
	b.WriteString("[main]\nsummary=Connection limits by maxconn\n")
	if len(x.sysctls) > 0 {
		b.WriteString("\n[sysctl]\n")
	}
	for _, c := range x.sysctls {
		b.WriteString(comments("#", "Was "+shown(c.From)+". "+c.Why+"."))
		b.WriteString(c.Target.Name + "=" + c.To + "\n")
	}
	if more := x.beyond(false); len(more) > 0 {
		b.WriteString("\n" + comments("#", append([]string{"What TuneD does not do:"}, more...)...))
	}
	return b.String()
}

// nixos is a module.
func (x export) nixos() string {
	var b strings.Builder
	b.WriteString(comments("#", x.about()...) + "{ ... }:\n{\n")
	if len(x.sysctls) > 0 {
		b.WriteString("  boot.kernel.sysctl = {\n")
		for _, c := range x.sysctls {
			b.WriteString(comments("    #", "Was "+shown(c.From)+". "+c.Why+"."))
			b.WriteString("    " + nixString(c.Target.Name) + " = " + nixValue(c.To) + ";\n")
		}
		b.WriteString("  };\n")
	}
	if x.tracks() {
		b.WriteString("  boot.kernelModules = [ \"nf_conntrack\" ];\n")
	}
	if n := x.hashSize(); n != "" {
		b.WriteString("  boot.extraModprobeConfig = " + nixString("options nf_conntrack hashsize="+n) + ";\n")
	}
	for _, u := range x.units {
		b.WriteString("  systemd.services." + nixString(strings.TrimSuffix(oneWord(u.unit), ".service")) + ".serviceConfig.LimitNOFILE = " + nixString(u.limits) + ";\n")
	}
	b.WriteString("}\n")
	if more := x.beyond(true); len(more) > 0 || len(x.links) > 0 {
		for _, c := range x.links {
			more = append(more, "ip link set dev "+c.Target.Name+" txqueuelen "+c.To)
		}
		b.WriteString(comments("#", append([]string{"What this module does not do:"}, more...)...))
	}
	return b.String()
}

// nixValue is a number, or a string where it is more than one.
func nixValue(v string) string {
	if v != "" && strings.Trim(v, "0123456789") == "" {
		return v
	}
	return nixString(v)
}

func nixString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`).Replace(oneLine(s)) + `"`
}
