package sysctld

import (
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// Winner is the line that has the last word on a key.
type Winner struct {
	// Setting is that line. Without one it is zero; where a "-key" has the last word,
	// it is that line and Set is false.
	Setting
	// Set says that a value is written.
	Set bool
	// Turn is when, in the order of writes, counted in settings: of two names of one
	// value, the later one stays.
	Turn int
	// Lost are the other lines that name the key in full or by a glob, in the order of reading.
	Lost []Setting
}

// Decide finds the winner of a key among settings that a program reads in this order. The
// key may be written either way. Other names of the same value (see knob.Names) are not
// looked at: Tree.Winner does.
func Decide(p Program, settings []Setting, key string) Winner {
	want := knob.Path(key)
	full, globs := entries(settings, want)
	var w Winner
	switch {
	case p == Systemd:
		w = systemd(settings, full, globs)
	case p == Tuned:
		w = last(settings, full)
	default:
		w = procps(settings, full, globs, want)
	}
	for _, i := range merge(full, globs) {
		if s := settings[i]; s != w.Setting {
			w.Lost = append(w.Lost, s)
		}
	}
	return w
}

// entries are the indices of the settings that name a key in full, and of the globs that it
// matches.
func entries(settings []Setting, want string) (full, globs []int) {
	for i, s := range settings {
		switch name := knob.Path(s.Key); {
		case name == want:
			full = append(full, i)
		case knob.IsGlob(name) && (matchPath(name, want) || s.Exclude && match(name, want)):
			globs = append(globs, i)
		}
	}
	return full, globs
}

// merge joins two ascending lists.
func merge(a, b []int) (out []int) {
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// systemd is src/sysctl/sysctl.c parse_line and apply_all: an ordered map with one entry a name.
func systemd(settings []Setting, full, globs []int) Winner {
	if len(full) > 0 {
		return entry(settings, full)
	}
	byName := map[string][]int{}
	for _, i := range globs {
		byName[settings[i].Key] = append(byName[settings[i].Key], i)
	}
	var best Winner
	for _, same := range byName {
		w := entry(settings, same)
		if w.Set && (!best.Set || w.Turn > best.Turn) {
			best = w
		}
	}
	return best
}

// entry is what systemd-sysctl keeps of several lines with one name: the last, at the place
// of the first line of those at the end that say the same, because only another value moves
// the entry to the end.
func entry(settings []Setting, same []int) Winner {
	i := len(same) - 1
	w := Winner{Setting: settings[same[i]], Set: !settings[same[i]].Exclude, Turn: same[i]}
	for ; i >= 0 && settings[same[i]].Value == w.Value &&
		settings[same[i]].Exclude == w.Exclude; i-- {
		w.Turn = same[i]
	}
	return w
}

// procps is src/sysctl.c write_setting_list and settinglist_findpath.
func procps(settings []Setting, full, globs []int, want string) Winner {
	if w := last(settings, full); w.Set {
		return w
	}
	if len(full) > 0 { // "-key" keeps the globs away
		return Winner{Setting: settings[full[len(full)-1]]}
	}
	for _, i := range globs {
		if settings[i].Exclude {
			return Winner{Setting: settings[i]}
		}
	}
	return last(settings, globs)
}

// last is the last of these settings that writes.
func last(settings []Setting, of []int) Winner {
	for i := len(of) - 1; i >= 0; i-- {
		if s := settings[of[i]]; !s.Exclude {
			return Winner{Setting: s, Set: true, Turn: of[i]}
		}
	}
	return Winner{}
}

// Winners is Decide over all names of the value that the key names.
func Winners(p Program, settings []Setting, key string) Winner {
	var best Winner
	for i, name := range knob.Names(key) {
		w := Decide(p, settings, name)
		switch {
		case i == 0:
			best = w
		case w.Set && (!best.Set || w.Turn > best.Turn):
			w.Lost = append(w.Lost, best.all()...)
			best = w
		default:
			best.Lost = append(best.Lost, w.all()...)
		}
	}
	return best
}

// all are the lines that a winner knows of.
func (w Winner) all() []Setting {
	if w.File == "" {
		return w.Lost
	}
	return append(w.Lost, w.Setting)
}

// Unseen are the files that a program reads, whose content is not known, and which could
// hold a later word than the winner; with the reason each.
func (t Tree) Unseen(p Program, w Winner) (out []string) {
	out = append(out, t.Unread...)
	behind := w.File == "" || knob.IsGlob(w.Key) || p == Procps && !w.Set
	for _, f := range t.Order(p) {
		if f.Path == w.File {
			behind = true
		}
		if behind && f.Unread != "" {
			out = append(out, f.Path+": "+f.Unread)
		}
	}
	return out
}

// matchPath is glob(3): no wildcard stands for a slash.
func matchPath(pattern, path string) bool {
	p, s := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(s) {
		return false
	}
	for i := range p {
		if !match(p[i], s[i]) {
			return false
		}
	}
	return true
}

// match is fnmatch(3) without flags: a star stands for any bytes, slashes too. It goes back
// to the last star only, so its time is at most the product of the two lengths.
func match(pattern, s string) bool {
	p, i := 0, 0
	star, from := -1, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, i
			p++
			continue
		}
		if n, ok := matchByte(pattern[p:], s[i]); ok {
			p, i = p+n, i+1
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchByte compares one byte with the head of a pattern that is not a star; n is the
// length of the head.
func matchByte(pattern string, c byte) (n int, ok bool) {
	if pattern == "" {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if n, ok := matchSet(pattern, c); n > 0 {
			return n, ok
		}
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	}
	return 1, pattern[0] == c
}

// matchSet is a bracket expression; n is 0 where it has no end, and then the bracket is a
// plain byte.
func matchSet(pattern string, c byte) (n int, in bool) {
	i := 1
	not := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if not {
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, in != not
		}
		low, high := pattern[i], pattern[i]
		i++
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			high = pattern[i+1]
			i += 2
		}
		in = in || low <= c && c <= high
	}
	return 0, false
}
