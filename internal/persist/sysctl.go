package persist

import (
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
		for _, name := range knob.Names(c.Target.Name) {
			if name == key {
				return true
			}
		}
	}
	return false
}
