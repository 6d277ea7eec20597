package knob

import (
	"slices"
	"strings"
)

// Search finds the described settings that a word names: the whole name, with "." or "/" between
// its parts, as a path below /proc/sys, with "= value" behind it, another name of the same value,
// what other programs call it (TasksMax), or the last parts of it (tcp_fin_timeout). Several
// settings may share last parts (gc_thresh3). Sorted by name. Other settings that
// differ from a sysctl in case alone have to be spelled as they are (IP_LOCAL_PORT_RANGE).
func Search(word string) (found []*Knob) {
	whole, name := strings.ToLower(strings.TrimSpace(word)), searched(word)
	if name == "" {
		return nil
	}
	if k := Lookup(name); k != nil {
		return []*Knob{k}
	}
	for _, k := range Rows() {
		switch lower := strings.ToLower(k.Name); {
		case k.Name == strings.TrimSpace(word):
			return []*Knob{k}
		case lower == name, lower == whole, endsIn(lower, name), k.isCalled(whole):
			found = append(found, k)
		}
	}
	if slices.ContainsFunc(found, (*Knob).IsSysctl) {
		found = slices.DeleteFunc(found, func(k *Knob) bool { return !k.IsSysctl() })
	}
	slices.SortFunc(found, func(a, b *Knob) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// isCalled says whether another program has this name for it.
func (k *Knob) isCalled(lower string) bool {
	return slices.ContainsFunc(k.Also, func(name string) bool {
		return strings.ToLower(name) == lower
	})
}

// endsIn says whether a name ends in further parts, or is several words of which the first or the
// last is meant.
func endsIn(lower, word string) bool {
	words := strings.Fields(lower)
	return strings.HasSuffix(lower, "."+word) ||
		len(words) > 1 && (words[0] == word || words[len(words)-1] == word)
}

// searched is how a name is written that a user or a sysctl.d file writes.
func searched(word string) string {
	name, _, _ := strings.Cut(strings.ToLower(word), "=")
	name = strings.TrimPrefix(strings.TrimSpace(name), "-") // of sysctl.d: errors are ignored
	if rest, ok := strings.CutPrefix(name, Dir); ok {
		return KeyAt(rest)
	}
	return Key(name)
}
