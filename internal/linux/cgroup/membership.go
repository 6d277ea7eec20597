package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Membership is one line of /proc/PID/cgroup: the group of a process in one
// hierarchy.
type Membership struct {
	Unified     bool     // the version 2 hierarchy
	Controllers []string // of a version 1 hierarchy; "name=systemd" for one without
	Path        string   // seen from the reader's cgroup namespace: "/../x" is outside of it
	Deleted     bool     // the group was removed while the process was still in it
}

// ParseMembership reads /proc/PID/cgroup (kernel/cgroup/cgroup.c
// proc_cgroup_show).
func ParseMembership(b []byte) ([]Membership, error) {
	all, err := wholeLines("cgroup", b)
	if err != nil {
		return nil, err
	}
	groups := make([]Membership, 0, len(all))
	for i, line := range all {
		group, ok := parseMembership(line)
		if !ok {
			return nil, fmt.Errorf(
				"parse cgroup line %d: %s is not number:controllers:path", i+1,
				clip(line))
		}
		groups = append(groups, group)
	}
	return groups, nil
}

// parseMembership splits at the first two colons: a path may hold more.
func parseMembership(line string) (Membership, bool) {
	id, rest, ok := strings.Cut(line, ":")
	if !ok {
		return Membership{}, false
	}
	controllers, path, ok := strings.Cut(rest, ":")
	if !ok || !strings.HasPrefix(path, "/") {
		return Membership{}, false
	}
	if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == 0 != (controllers == "") {
		return Membership{}, false
	}
	m := Membership{Unified: controllers == "", Path: path}
	if m.Unified {
		m.Path, m.Deleted = strings.CutSuffix(path, " (deleted)")
		return m, m.Path != ""
	}
	m.Controllers = strings.Split(controllers, ",")
	return m, true
}

// UnitPath returns the path from which [Unit] can
// tell whose process this is: that of the hierarchy by which systemd or a
// container engine groups processes, where it is more than "/".
func UnitPath(groups []Membership) string {
	for _, name := range []string{"", "name=systemd", "pids", "memory"} {
		for _, g := range groups {
			named := g.Unified && name == "" || slices.Contains(g.Controllers, name)
			if named && g.Path != "/" {
				return g.Path
			}
		}
	}
	return "/"
}

// PathOf returns the path of the group that [Tree.Locate] would look for: that of the
// version 1 hierarchy with the controller, else that of version 2; "" where there is none.
func PathOf(controller string, groups []Membership) string {
	unified := ""
	for _, g := range groups {
		if slices.Contains(g.Controllers, controller) {
			return g.Path
		}
		if g.Unified {
			unified = g.Path
		}
	}
	return unified
}
