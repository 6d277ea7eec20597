package cgroup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mount is one line of /proc/PID/mountinfo, unescaped.
type Mount struct {
	// directory of the file system that is mounted, seen from the reader's cgroup
	// namespace
	Root  string
	Point string // where, seen from the process's root directory
	Type  string // file system, such as cgroup2
	// of the file system, separated by commas; a version 1 hierarchy names its
	// controllers
	Options string
}

// has reports whether the mount is a version 1 hierarchy of a controller.
func (m Mount) has(controller string) bool {
	return m.Type == "cgroup" && slices.Contains(strings.Split(m.Options, ","), controller)
}

// ParseMountinfo reads /proc/PID/mountinfo (fs/proc_namespace.c show_mountinfo).
func ParseMountinfo(b []byte) ([]Mount, error) {
	all, err := wholeLines("mountinfo", b)
	if err != nil {
		return nil, err
	}
	mounts := make([]Mount, 0, len(all))
	for i, line := range all {
		mount, ok := parseMount(line)
		if !ok {
			return nil, fmt.Errorf("parse mountinfo line %d: %s is not a mount", i+1,
				clip(line))
		}
		mounts = append(mounts, mount)
	}
	return mounts, nil
}

// parseMount splits at single spaces: a mount may have an empty source. The
// number of fields before the dash varies.
func parseMount(line string) (Mount, bool) {
	words := strings.Split(line, " ")
	dash := slices.Index(words, "-")
	if dash < 6 || len(words) < dash+4 {
		return Mount{}, false
	}
	for _, id := range words[:2] {
		if _, err := strconv.ParseInt(id, 10, 64); err != nil {
			return Mount{}, false
		}
	}
	m := Mount{
		Root:    unescape(words[3]),
		Point:   unescape(words[4]),
		Type:    unescape(words[dash+1]),
		Options: unescape(words[dash+3]),
	}
	return m, strings.HasPrefix(m.Point, "/")
}

// unescape undoes \040 and the like, as which the kernel prints space, tab,
// newline, backslash and # (fs/seq_file.c mangle_path).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// wholeLines splits a file into lines. One without a newline at its end was cut
// short.
func wholeLines(kind string, b []byte) ([]string, error) {
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok {
		return nil, fmt.Errorf("parse %s: is empty or cut short: no newline at its end",
			kind)
	}
	return strings.Split(text, "\n"), nil
}

// clip quotes a piece of a file for an error: on one line, and not all of it.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

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
