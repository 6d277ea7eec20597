package persist

import (
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/sysctld"
)

// unitPath is where systemd finds units, the first has precedence (systemd.unit(5)).
var unitPath = []string{
	"etc/systemd/system", "run/systemd/system", "run/systemd/generator",
	"usr/local/lib/systemd/system",
	"usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator.late",
}

// The limits that systemd gives where nothing is said, since v240 (src/core/main.c,
// HIGH_RLIMIT_NOFILE).
const defaultSoft, defaultHard = 1024, 524288

// configured are the descriptor limits that a unit starts with as it is, our own drop-in left out.
func configured(root fs.FS, unit, dropIn string) (soft, hard uint64) {
	soft, hard = defaultSoft, defaultHard
	for _, file := range managerFiles(root) {
		soft, hard = limits(root, file, "Manager", "DefaultLimitNOFILE", soft, hard)
	}
	for _, file := range unitFilesOf(root, unit) {
		if path.Base(file) != dropIn {
			soft, hard = limits(root, file, "Service", "LimitNOFILE", soft, hard)
		}
	}
	return soft, hard
}

// lateDropIn is a drop-in that sets the limit and is read after ours, or "".
func lateDropIn(root fs.FS, unit, dropIn string) string {
	for _, file := range unitFilesOf(root, unit) {
		if strings.HasSuffix(path.Dir(file), ".d") && path.Base(file) > dropIn {
			if soft, _ := limits(root, file, "Service", "LimitNOFILE", 0, 0); soft > 0 {
				return "/" + file
			}
		}
	}
	return ""
}

// managerFiles are system.conf and its drop-ins, in the order of reading.
func managerFiles(root fs.FS) (files []string) {
	for _, dir := range []string{"etc/systemd", "run/systemd", "usr/local/lib/systemd",
		"usr/lib/systemd"} {
		if exists(root, dir+"/system.conf") {
			files = append(files, dir+"/system.conf")
			break
		}
	}
	var dirs []string
	for _, dir := range []string{"etc/systemd", "run/systemd", "usr/local/lib/systemd",
		"usr/lib/systemd"} {
		dirs = append(dirs, dir+"/system.conf.d")
	}
	return append(files, byName(root, dirs)...)
}

// unitFilesOf are the unit's own file and its drop-ins, in the order of reading: for
// foo@1.service also those of foo@.service, for a-b.service those of a-.service, and those
// of all services.
func unitFilesOf(root fs.FS, unit string) (files []string) {
	names := []string{unit}
	if prefix, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, prefix+"@.service")
	}
	for _, name := range names {
		i := slices.IndexFunc(unitPath, func(dir string) bool {
			return exists(root, dir+"/"+name)
		})
		if i >= 0 {
			files = append(files, unitPath[i]+"/"+name)
			break
		}
	}
	stem := strings.TrimSuffix(unit, ".service")
	for i, c := range stem {
		if c == '-' && i+1 < len(stem) {
			names = append(names, stem[:i+1]+".service")
		}
	}
	var dirs []string
	for _, name := range append(names, "service") {
		for _, dir := range unitPath {
			dirs = append(dirs, dir+"/"+name+".d")
		}
	}
	return append(files, byName(root, dirs)...)
}

// byName lists the .conf files of directories by name, each name once, from the first
// directory that has it.
func byName(root fs.FS, dirs []string) (files []string) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		for _, name := range names(root, dir) {
			if strings.HasSuffix(name, ".conf") && !seen[name] {
				seen[name] = true
				files = append(files, dir+"/"+name)
			}
		}
	}
	slices.SortStableFunc(files, func(a, b string) int {
		return cmp.Compare(path.Base(a), path.Base(b))
	})
	return files
}

// limits reads a file's last word on a limit: "N", "soft:hard", or "infinity", which
// systemd takes for fs.nr_open and which is left out here; an empty value goes back to what
// stood before.
func limits(root fs.FS, file, section, key string, soft, hard uint64) (uint64, uint64) {
	data, err := sysctld.ReadFile(root, file)
	if err != nil {
		return soft, hard
	}
	for _, e := range parseINI(data) {
		if e.section != section || e.key != key {
			continue
		}
		low, high, two := strings.Cut(e.value, ":")
		if !two {
			high = low
		}
		a, err1 := strconv.ParseUint(low, 10, 31)
		b, err2 := strconv.ParseUint(high, 10, 31)
		if err1 == nil && err2 == nil {
			soft, hard = a, b
		}
	}
	return soft, hard
}

// names lists a directory's entries, sorted; none where it cannot be read.
func names(root fs.FS, dir string) (out []string) {
	real, err := sysctld.Resolve(root, dir)
	if err != nil {
		return nil
	}
	entries, err := fs.ReadDir(root, real)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// exists says whether a name leads to something.
func exists(root fs.FS, name string) bool {
	real, err := sysctld.Resolve(root, name)
	if err != nil {
		return false
	}
	_, err = fs.Lstat(root, real)
	return err == nil
}

// iniEntry is one assignment of a file with sections: a unit, a profile of TuneD.
type iniEntry struct {
	section, key, value string
	line                int
}

// parseINI reads "key = value" lines; # and ; begin comments; a backslash at the end joins
// lines, as in unit files.
func parseINI(data []byte) (out []iniEntry) {
	section, joined, number := "", "", 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			joined += rest + " "
			continue
		}
		line, joined = joined+line, ""
		if line[0] == '[' && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok {
			out = append(out, iniEntry{section, strings.TrimSpace(key),
				strings.TrimSpace(value), number})
		}
	}
	return out
}
