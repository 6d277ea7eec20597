package export

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/persist"
)

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
