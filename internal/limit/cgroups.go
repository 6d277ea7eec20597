package limit

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
)

// tenants are the processes with sockets that live in one cgroup or below it; a limit of
// the cgroup binds them all.
type tenants struct {
	row         host.Row // of the cgroup
	processes   []host.Row
	connections int64
	// not all descriptors of all of them were looked at: connections is a lower bound
	partly bool
}

// cgroupTenants lists the cgroups that hold processes with sockets, ancestors included,
// sorted by path. Several limits share it: cgroup-memory, threads. A cgroup that could not
// be read is left out. The path is in the first of the fields that a process has: in
// version 1 each controller has a hierarchy of its own.
func cgroupTenants(r *host.Reader, processes []host.Row, fields ...string) []tenants {
	known := map[string]bool{}
	for _, row := range r.Rows(host.CgroupKind) {
		known[row.Name()] = true
	}
	byPath := map[string][]host.Row{}
	for _, p := range processes {
		for _, path := range ancestry(firstField(p, fields)) {
			if known[path] {
				byPath[path] = append(byPath[path], p)
			}
		}
	}
	var out []tenants
	for path, rows := range byPath {
		if row, ok := r.Row(host.CgroupKind, path); ok {
			out = append(out, newTenants(row, rows))
		}
	}
	slices.SortFunc(out, func(a, b tenants) int {
		return strings.Compare(a.row.Name(), b.row.Name())
	})
	return out
}

// unread is the field of a limit that could not be read, or of its use: a cgroup without the
// controller has neither, and the root of a host has no limits.
func (t tenants) unread(limit, use string) (missing string) {
	switch most, now := t.row.Text(limit), t.row.Text(use); {
	case most == "" && now != "" && t.row.Name() != "/":
		return limit
	case most != "" && most != "max" && now == "":
		return use
	}
	return ""
}

func firstField(row host.Row, names []string) string {
	for _, name := range names {
		if v := row.Text(name); v != "" {
			return v
		}
	}
	return ""
}

func newTenants(cgroup host.Row, processes []host.Row) tenants {
	t := tenants{row: cgroup, processes: processes}
	for _, p := range processes {
		t.connections += min(max(p.Sockets(), 0), mostFiles)
		t.partly = t.partly || p.Text("attributed") != "all"
	}
	return t
}

// mostLevels is how deep below the root cgroups are looked at. Managers of cgroups make
// about ten levels; paths that somebody nests without end would cost the square of their
// length.
const mostLevels = 256

// ancestry is a path and all above it, from the top: /, /a, /a/b.
func ancestry(path string) []string {
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	out := []string{"/"}
	path = strings.TrimRight(path, "/")
	for at := 0; at < len(path) && len(out) <= mostLevels; out = append(out, path[:at]) {
		at++
		if i := strings.IndexByte(path[at:], '/'); i >= 0 {
			at += i
		} else {
			at = len(path)
		}
	}
	return out
}

// cgroupName is how people know a cgroup. Limits at the root are those of a container that
// has a cgroup namespace of its own (the root of the host has none: mm/memcontrol.c and
// kernel/cgroup/pids.c, CFTYPE_NOT_ON_ROOT).
func cgroupName(path string) string {
	if path == "/" {
		return "this container's cgroup"
	}
	return "cgroup " + path
}

// cgroupSubject is the name where it is clear that a cgroup is meant.
func cgroupSubject(path string) string { return strings.TrimPrefix(cgroupName(path), "cgroup ") }

// byUnit says in the words of systemd how a limit of a cgroup is raised at once
// (systemctl(1) set-property), or "" where the cgroup is no unit of systemd's own: the
// scope of a container belongs to its runtime.
func byUnit(path, property, value string) string {
	unit := path[strings.LastIndexByte(path, '/')+1:]
	if strings.HasSuffix(unit, ".service") || strings.HasSuffix(unit, ".slice") {
		return "systemctl set-property " + encode.CommandWord(unit) + " " + property + "=" +
			value +
			" acts at once and is kept; only by hand, because systemd owns the " +
			"file and would write its own value again"
	}
	return ""
}

// byOwner says how it is raised elsewhere: by the container's runtime, or in the file
// itself. A plan does not write there: a cgroup has one writer
// (Documentation/admin-guide/cgroup-v2.rst, delegation).
func byOwner(what, option, file, value string) string {
	return what + ": " + option + " of the container, or echo " + value + " > " +
		encode.CommandWord(file) +
		"; only by hand, because the container's runtime owns the file and would write " +
		"its own value again"
}

// cgroupFile is where the kernel usually shows a limit of a cgroup; in version 1 each
// controller has a tree of its own.
func cgroupFile(row host.Row, controller, name string) string {
	root := "/sys/fs/cgroup"
	if row.Text("version") == "1" {
		root += "/" + controller
	}
	return root + strings.TrimSuffix(row.Name(), "/") + "/" + name
}
