package plan

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
)

// conf collects the text of a file of settings: constants, comments and plain words.
type conf = encode.Builder[encode.Conf]

func plain(s string) encode.Conf { return encode.Plain[encode.Conf](s) }

func comments(texts ...string) encode.Conf { return encode.Comment[encode.Conf]("#", texts...) }

// sysctlD is a file for sysctl.d, as sysctl(8) and systemd-sysctl read it.
func (x export) sysctlD() string {
	var b conf
	b.Write(comments(x.about()...), x.assignments())
	if more := x.beyond(false); len(more) > 0 {
		b.Write(
			"\n",
			comments("What is no sysctl, and so not done by this file:"),
			comments(more...),
		)
	}
	return b.String()
}

// assignments are the sysctls, each with its reason, in the order in which the kernel takes them.
func (x export) assignments() (out encode.Conf) {
	for _, c := range x.sysctls {
		out += "\n" + comments(reason(c)) + plain(c.Target.Name) + " = " + plain(c.To) + "\n"
	}
	return out
}

// reason is the old value and why it does not do.
func reason(c Change) string { return "Was " + shown(c.From) + ". " + c.Why + "." }

// systemd is all files that a boot with systemd reads.
func (x export) systemd() (files []File) {
	head := comments(x.about()...)
	add := func(path string, parts ...encode.Conf) {
		var b conf
		b.Write(head)
		b.Write(parts...)
		files = append(files, File{Path: path, Text: b.String()})
	}
	if len(x.sysctls) > 0 {
		add(sysctlFile, x.assignments())
	}
	if x.tracks() {
		add(
			modulesFile,
			comments("Before systemd-sysctl runs, so that the keys of nf_conntrack are there."),
			"nf_conntrack\n",
		)
	}
	if n := x.hashSize(); n != "" {
		add(optionsFile, "options nf_conntrack hashsize=", plain(n), "\n")
	}
	for _, u := range x.units {
		add(
			unitDir+u.unit+".d/"+dropIn,
			comments(u.why+"."),
			"[Service]\nLimitNOFILE=",
			plain(u.limits),
			"\n",
		)
	}
	for i, c := range x.links {
		add(
			linkPrefix+strconv.Itoa(i+1)+".link",
			comments(reason(c)),
			"[Match]\nOriginalName=",
			plain(c.Target.Name),
			"\n\n[Link]\nTransmitQueueLength=",
			plain(c.To),
			"\n",
		)
	}
	if more := x.beyond(true); len(more) > 0 || len(files) == 0 {
		add(readme, comments("No file does this:"), comments(more...))
	}
	return files
}

// tuned is a profile of TuneD, which expands ${...} in values, and with it runs commands
// (tuned/profiles/functions): a plain value has none.
func (x export) tuned() string {
	var b conf
	b.Write(
		comments(x.about()...),
		comments("Add include=PROFILE to [main] to keep what the present "+
			"profile sets: tuned-adm active names it."),
		"[main]\nsummary=Connection limits by maxconn\n",
	)
	if len(x.sysctls) > 0 {
		b.Write("\n[sysctl]\n")
	}
	for _, c := range x.sysctls {
		b.Write(comments(reason(c)), plain(c.Target.Name), "=", plain(c.To), "\n")
	}
	if more := x.beyond(false); len(more) > 0 {
		b.Write("\n", comments("What TuneD does not do:"), comments(more...))
	}
	return b.String()
}

func nixComments(
	mark encode.Nix,
	texts ...string,
) encode.Nix {
	return encode.Comment(mark, texts...)
}

// nixos is a module.
func (x export) nixos() string {
	var b encode.Builder[encode.Nix]
	b.Write(nixComments("#", x.about()...), "{ ... }:\n{\n")
	if len(x.sysctls) > 0 {
		b.Write("  boot.kernel.sysctl = {\n")
		for _, c := range x.sysctls {
			b.Write(nixComments("    #", reason(c)))
			b.Write("    ", encode.NixString(c.Target.Name), " = ", nixValue(c.To), ";\n")
		}
		b.Write("  };\n")
	}
	if x.tracks() {
		b.Write("  boot.kernelModules = [ \"nf_conntrack\" ];\n")
	}
	if n := x.hashSize(); n != "" {
		b.Write(
			"  boot.extraModprobeConfig = ",
			encode.NixString("options nf_conntrack hashsize="+n),
			";\n",
		)
	}
	for _, u := range x.units {
		b.Write("  systemd.services.", encode.NixString(strings.TrimSuffix(u.unit, ".service")),
			".serviceConfig.LimitNOFILE = ", encode.NixString(u.limits), ";\n")
	}
	b.Write("}\n")
	more := x.beyond(true)
	for _, c := range x.links {
		more = append(more, "ip link set dev "+c.Target.Name+" txqueuelen "+c.To)
	}
	if len(more) > 0 {
		b.Write(nixComments("#", "What this module does not do:"), nixComments("#", more...))
	}
	return b.String()
}

// nixValue is a number, or a string where it is more than one.
func nixValue(v string) encode.Nix {
	if v != "" && strings.Trim(v, "0123456789") == "" {
		return encode.Plain[encode.Nix](v)
	}
	return encode.NixString(v)
}
