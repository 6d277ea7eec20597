package lint

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// order says which of several lines for one key wins. For what is read at boot, package
// sysctld decides.
type order struct {
	files         []File
	settings      []setting
	places        []place     // by file
	by            []inclusion // by file
	atBoot        []bool      // by file: whether it has a place
	boot          bool        // the files are all that the host reads
	branches      []bool      // by file: its lines need not all run
	apart         []bool      // by file: two names of one setting belong to two things
	refused       []bool      // by setting: the kernel does not take it
	absent        []bool      // by setting: the kernel has no setting of this name
	groups        []string
	keys          []string // by setting, see rivalKey
	values        []string // by setting, to compare
	systemd       reading
	procps        reading
	rivals        map[string][]int // settings by group and key, see rivalKey
	precedences   map[string]*precedence
	otherSettings map[string][]int // see otherSettingsOf
}

func newOrder(files []File, settings []setting, by []inclusion, boot bool) *order {
	o := &order{
		files: files, settings: settings, by: by, boot: boot,
		places: make([]place, len(files)), atBoot: make([]bool, len(files)),
		refused: make([]bool, len(settings)), absent: make([]bool, len(settings)),
		groups: make([]string, len(settings)), values: make([]string, len(settings)),
		keys:   make([]string, len(settings)),
		rivals: map[string][]int{}, precedences: map[string]*precedence{},
	}
	for i, f := range files {
		o.places[i], o.atBoot[i] = placeOf(f.Name)
	}
	all := trees(files, o.places, o.atBoot, boot)
	o.systemd, o.procps = readingOf(sysctld.Systemd, all, len(files)),
		readingOf(sysctld.Procps, all, len(files))
	for i, s := range settings {
		o.values[i] = valueOf(s)
		if i > 0 && o.isTogether(i-1, i) {
			o.groups[i] = o.groups[i-1]
		} else {
			o.groups[i] = o.together(i)
		}
		o.keys[i] = o.rivalKey(i)
		if s.flaw == nil {
			o.rivals[o.keys[i]] = append(o.rivals[o.keys[i]], i)
		}
	}
	return o
}

// rivalKey is the same for settings that one can override the other.
func (o *order) rivalKey(i int) string {
	s := o.settings[i]
	return o.groups[i] + "\x00" + knob.Main(s.key) + "\x00" + s.subject + "\x00" + s.block
}

// together names the lines that are read together with a setting: those of a boot, or of
// one file; what acts now and what is written down for later are apart.
func (o *order) together(i int) string {
	s := o.settings[i]
	form := s.form
	if form == asExclude {
		form = asConf
	}
	if form == asConf && s.target == "" && o.atBoot[s.file] {
		return "boot " + o.places[s.file].root
	}
	whole, _ := o.rowsTo(i)
	return fmt.Sprintf("file %d form %d %s %s %s", whole, form, s.target, s.where,
		s.world.scope)
}

// deepestInclusion is how far files that include files are followed.
const deepestInclusion = 10

// rowsTo are the rows through which a setting is reached from the file that includes all others.
func (o *order) rowsTo(i int) (file int, rows []int) {
	file, rows = o.settings[i].file, []int{o.settings[i].row}
	for range deepestInclusion {
		by := o.by[file]
		if by.file < 0 {
			break
		}
		file, rows = by.file, append(rows, by.row)
	}
	slices.Reverse(rows)
	return file, rows
}

// isTogether says that two settings are of one group because all that makes it is the same.
func (o *order) isTogether(i, j int) bool {
	a, b := &o.settings[i], &o.settings[j]
	return a.file == b.file && a.form == b.form && a.target == b.target &&
		a.where == b.where && a.world.scope == b.world.scope
}

// before says whether a program comes to setting i before it comes to j. What a glob
// matches comes before what is named in full (sysctl.d(5)).
func (o *order) before(i, j int, by reading) bool {
	return o.compare(i, j, by) < 0
}

func (o *order) compare(i, j int, by reading) int {
	a, b := o.settings[i], o.settings[j]
	if c := compareBool(a.glob == "", b.glob == ""); c != 0 {
		return c
	}
	return cmp.Or(o.compareRead(i, j, by), i-j)
}

// compareRead is the order of reading alone.
func (o *order) compareRead(i, j int, by reading) int {
	a, b := o.settings[i], o.settings[j]
	if a.file != b.file && o.groups[i] == o.groups[j] {
		if !o.atBoot[a.file] || !o.atBoot[b.file] {
			_, first := o.rowsTo(i)
			_, second := o.rowsTo(j)
			return cmp.Or(slices.Compare(first, second), a.file-b.file)
		}
		return cmp.Or(by.turn[a.file]-by.turn[b.file], a.file-b.file)
	}
	return cmp.Or(a.file-b.file, a.row-b.row, i-j)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// after is j where it comes after i, else -1.
func (o *order) after(i, j int, by reading) int {
	if j < 0 || !o.before(i, j, by) {
		return -1
	}
	return j
}

func oneOfForms(f form, all ...form) bool { return slices.Contains(all, f) }

// maskedBy is the file because of which one is not read: it has the same name and stands in
// a directory that goes first. -1 for none.
func (o *order) maskedBy(file int) int { return o.procps.masked[file] }

// unread says whether the file is /etc/sysctl.conf of a host that has no link to it:
// systemd does not read it then.
func (o *order) unread(file int) bool {
	return o.atBoot[file] && o.places[file].last && o.systemd.turn[file] < 0
}

// skipped says whether systemd does not read the file: it is masked, or hidden, or is a
// sysctl.conf without a link.
func (o *order) skipped(file int) bool { return o.atBoot[file] && o.systemd.turn[file] < 0 }

func (o *order) hidden(file int) bool {
	return o.atBoot[file] && strings.HasPrefix(path.Base(o.files[file].Name), ".")
}

// same says whether two settings have the same value.
func (o *order) same(i, j int) bool { return o.values[i] == o.values[j] }

// valueOf is a value in one way of writing: numbers in decimal, one blank between words.
func valueOf(s setting) string {
	n := 1
	if r := ruleOf(s.key); r != nil {
		n = max(r.Takes.N, 1)
	}
	if v := numbers(s.value, n); v.wrong == "" && (n > 1 || v.rest == "") {
		return fmt.Sprint(v.n, v.rest)
	}
	return value(s)
}

// lineOf names the line of a setting as seen from a file.
func (o *order) lineOf(file int, s setting) string {
	line := fmt.Sprintf("line %d", s.row)
	if s.file == file {
		return line
	}
	return o.files[s.file].Name + " " + line
}

// at names a line as seen from another: "line 4", or "/etc/sysctl.d/99-x.conf line 4".
func (o *order) at(from, j int) string { return o.lineOf(o.settings[from].file, o.settings[j]) }

func value(s setting) string { return strings.Join(strings.Fields(s.value), " ") }

// upper begins a sentence with what at gave, where that is no path.
func upper(s string) string {
	if strings.HasPrefix(s, "line ") {
		return "L" + s[1:]
	}
	return s
}

// otherSettingsOf are the settings of a key that a name stands for (of a group of lines
// that are read together, or of a file), in systemd's order. Those that the kernel refuses,
// that nobody reads, and that are removed are left out.
func (o *order) otherSettingsOf(name, key string) []int {
	return o.otherSettings[name+"\x00"+knob.Main(key)]
}

// rank sorts them, once it is known what the kernel refuses by its form.
func (o *order) rank() {
	o.otherSettings = map[string][]int{}
	excluded := map[string]bool{}
	for i, s := range o.settings {
		if s.form == asExclude {
			excluded[o.keys[i]] = true
		}
	}
	add := func(name string, i int) {
		name += "\x00" + knob.Main(o.settings[i].key)
		o.otherSettings[name] = append(o.otherSettings[name], i)
	}
	for i, s := range o.settings {
		if s.flaw != nil || o.refused[i] || s.form == asExclude || o.skipped(s.file) {
			continue
		}
		if len(excluded) > 0 && excluded[o.keys[i]] && o.precedence(i).excluded >= 0 {
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
