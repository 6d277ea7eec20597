package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// role is what kind of file it is, and so who reads it and how.
type role uint8

const (
	anyRole     role = iota // a script, an answer, notes: every form is looked for
	sysctlRole              // sysctl.d, sysctl.conf: assignments only
	limitsRole              // limits.conf, limits.d
	unitRole                // systemd units, drop-ins, system.conf
	moduleRole              // modprobe.d, modules-load.d
	rcLocalRole             // /etc/rc.local
	treeRole                // YAML, JSON and the like: name and value apart
)

func oneOfRoles(r role, all ...role) bool { return slices.Contains(all, r) }

// directories are those of sysctl.d, by precedence: where a file of the same name is in
// several, the first is read (sysctl.d(5), sysctl(8) --system; measured with systemd 252
// and procps 4.0.2).
var directories = []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d",
	"usr/lib/sysctl.d", "lib/sysctl.d"}

// numbered is a name as files of sysctl.d have it.
var numbered = regexp.MustCompile(`^[0-9]{1,3}-[^/]*\.conf$`)

// place is where a file is in the order of a boot.
type place struct {
	root string // what stands before etc/ or usr/: files of one root are read together
	base string // the name that decides the order
	rank int    // of its directory
	last bool   // sysctl.conf: procps reads it after all others
}

// roleOf tells from the name.
func roleOf(name string) role {
	clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
	base, dir := path.Base(clean), path.Base(path.Dir(clean))
	switch {
	case strings.HasSuffix(dir, ".d") && strings.Contains(dir, ".service") ||
		base == "system.conf" || base == "user.conf":
		return unitRole
	case base == "sysctl.conf" || dir == "sysctl.d":
		return sysctlRole
	case base == "limits.conf" || dir == "limits.d":
		return limitsRole
	case base == "rc.local":
		return rcLocalRole
	case dir == "modprobe.d" || dir == "modules-load.d":
		return moduleRole
	}
	switch path.Ext(base) {
	case ".service", ".socket", ".slice", ".scope":
		return unitRole
	case ".yaml", ".yml", ".json", ".toml", ".nix", ".tf":
		return treeRole
	}
	return anyRole
}

// isYAML says whether a file is YAML, or JSON, which is YAML as well.
func isYAML(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
}

// placeOf says where the file is in the order of a boot, and whether it is read at boot at
// all. A file that is called as those of sysctl.d are (10-x.conf) is taken for one of them,
// together with others in its directory.
func placeOf(name string) (place, bool) {
	clean := path.Clean(strings.ReplaceAll(name, "\\", "/"))
	dir, base := path.Split(clean)
	dir = strings.TrimSuffix(dir, "/")
	for rank, d := range directories {
		if root, ok := strings.CutSuffix("/"+dir, "/"+d); ok &&
			strings.HasSuffix(base, ".conf") {
			return place{root: root + "/", base: base, rank: rank}, true
		}
	}
	switch {
	case base == "sysctl.conf":
		root := strings.TrimSuffix("/"+dir, "/etc")
		return place{root: root + "/", base: "99-sysctl.conf", last: true}, true
	case path.Base(dir) == "sysctl.d" && strings.HasSuffix(base, ".conf"):
		return place{root: dir + "//", base: base}, true
	case numbered.MatchString(base):
		return place{root: dir + "//", base: base}, true
	}
	return place{}, false
}
