package cgroup

import (
	"slices"
	"strings"
)

// Unit returns the unit of the system's service manager that a group belongs
// to, such as "nginx.service", "user@1000.service", "session-3.scope" or
// "docker-ID.scope", or "" where the path names none: a group that no systemd
// made ("/kubepods/burstable/podUID/ID"), or a bare slice.
//
// The rule is systemd's (src/basic/cgroup-util.c cg_path_get_unit): the first
// part that is not a slice, if it is a unit. What follows belongs to that unit.
func Unit(path string) string {
	unit, _ := cutUnit(path)
	return unit
}

// cutUnit returns the first unit of a path and what follows it. A path that was
// seen from another namespace begins with parts "..".
func cutUnit(path string) (unit, rest string) {
	for path != "" {
		var part string
		part, path, _ = strings.Cut(strings.TrimLeft(path, "/"), "/")
		name := strings.TrimPrefix(part, "_") // an escape; cg_unescape
		switch {
		case part == "" || part == ".." || strings.HasSuffix(part, ".slice"):
			continue
		case isUnit(name):
			return name, path
		}
		return "", ""
	}
	return "", ""
}

// isUnit reports whether a name is that of a unit that has processes.
func isUnit(name string) bool {
	return slices.ContainsFunc([]string{".service", ".scope", ".socket", ".mount", ".swap"},
		func(kind string) bool {
			return len(name) > len(kind) && strings.HasSuffix(name, kind)
		})
}
