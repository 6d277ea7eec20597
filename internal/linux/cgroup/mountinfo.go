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
