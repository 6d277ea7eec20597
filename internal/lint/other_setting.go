package lint

import (
	"slices"
	"sort"
	"strconv"
)

// otherSettingsOf are the settings of a key that a name stands for (of a group of lines
// that are read together, or of a file), in systemd's order. Those that the kernel refuses,
// that nobody reads, and that are removed are left out.
func (o *order) otherSettingsOf(name, key string) []int {
	return o.otherSettings[name+"\x00"+identity(key)]
}

// rank sorts them, once it is known what the kernel refuses by its form.
func (o *order) rank() {
	o.otherSettings = map[string][]int{}
	excluded := map[string]bool{}
	for i, s := range o.settings {
		if s.form == asExclude {
			excluded[o.rivalKey(i)] = true
		}
	}
	add := func(name string, i int) {
		name += "\x00" + identity(o.settings[i].key)
		o.otherSettings[name] = append(o.otherSettings[name], i)
	}
	for i, s := range o.settings {
		if s.flaw != nil || o.refused[i] || s.form == asExclude || o.skipped(s.file) {
			continue
		}
		if excluded[o.rivalKey(i)] && o.precedence(i).excluded >= 0 {
			continue
		}
		add(o.groups[i]+"\x00"+s.where, i)
		add(fileName(s), i)
	}
	for _, all := range o.otherSettings {
		slices.SortFunc(all, func(a, b int) int { return o.compare(a, b, o.systemd) })
	}
	clear(o.precedences) // what is refused for its value comes out later
}

func fileName(s setting) string { return "file\x00" + strconv.Itoa(s.file) + "\x00" + s.where }

// otherSetting is the last setting of a key among those that are read together with setting
// i, or in its file; with earlier, the last before i.
func (o *order) otherSetting(i int, key string, earlier bool) (found setting, ok bool) {
	best := -1
	for _, all := range [][]int{o.otherSettingsOf(o.groups[i]+"\x00"+o.settings[i].where, key),
		o.otherSettingsOf(fileName(o.settings[i]), key)} {
		if j := o.lastOf(all, i, earlier); j >= 0 &&
			(best < 0 || o.before(best, j, o.systemd)) {
			best = j
		}
	}
	if best < 0 {
		return setting{}, false
	}
	return o.settings[best], true
}

// lastOf is the last of a sorted list that is not i itself, and with earlier comes before it.
func (o *order) lastOf(all []int, i int, earlier bool) int {
	n := len(all)
	if earlier {
		n = sort.Search(n, func(k int) bool { return !o.before(all[k], i, o.systemd) })
	}
	if n > 0 && all[n-1] == i {
		n--
	}
	if n == 0 {
		return -1
	}
	return all[n-1]
}
