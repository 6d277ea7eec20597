package lint

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
)

// order says which of several lines for one key wins.
type order struct {
	files    []File
	settings []setting
	places   []place // by file
	atBoot   []bool  // by file: whether it has a place
	links    []File  // sysctl.d files that are links to sysctl.conf
	boot     bool    // the files are all that the host reads
	branches []bool  // by file: its lines need not all run
	refused  []bool  // by setting: the kernel does not take it
	groups   []string
	values   []string         // by setting, to compare
	ranks    []rank           // by setting, as systemd-sysctl orders them
	procps   []rank           // as sysctl --system does
	masks    []int            // by file: see maskedBy
	rival    map[string][]int // settings by group and key
	ladders  map[string]*ladder
	byKey    map[string][]int // settings by key
}

func newOrder(files []File, settings []setting, boot bool) *order {
	o := &order{
		files: files, settings: settings, boot: boot,
		places: make([]place, len(files)), atBoot: make([]bool, len(files)),
		refused: make([]bool, len(settings)), groups: make([]string, len(settings)), values: make([]string, len(settings)),
		rival: map[string][]int{}, byKey: map[string][]int{}, ladders: map[string]*ladder{},
	}
	for i, f := range files {
		o.places[i], o.atBoot[i] = placeOf(f.Name)
		if f.Same != "" && o.atBoot[i] {
			o.links = append(o.links, f)
		}
	}
	for i := range files {
		o.masks = append(o.masks, o.findMask(i))
	}
	for i, s := range settings {
		o.groups[i], o.values[i] = o.together(i), valueOf(s)
		o.ranks, o.procps = append(o.ranks, o.rankOf(i, false)), append(o.procps, o.rankOf(i, true))
		if s.flaw == nil {
			o.byKey[identity(s.key)] = append(o.byKey[identity(s.key)], i)
			o.rival[o.rivalKey(i)] = append(o.rival[o.rivalKey(i)], i)
		}
	}
	return o
}

// rivalKey is the same for settings that one can override the other.
func (o *order) rivalKey(i int) string {
	s := o.settings[i]
	return o.groups[i] + "\x00" + identity(s.key) + "\x00" + s.subject
}

// together names the lines that are read together with a setting: those of a boot, or of one file; what acts now and what
// is written down for later are apart.
func (o *order) together(i int) string {
	s := o.settings[i]
	if s.form == asConf && s.target == "" && o.atBoot[s.file] {
		return "boot " + o.places[s.file].root
	}
	return fmt.Sprintf("file %d form %d %s %s", s.file, s.form, s.target, s.where)
}

// rank is a setting's place in the order of a boot. What a glob matches comes before what is named in full (sysctl.d(5)).
type rank struct {
	named bool
	file  string
	row   int
}

// rankOf is the place that systemd-sysctl gives a setting, or sysctl --system, which takes sysctl.conf last.
func (o *order) rankOf(i int, procps bool) rank {
	s := o.settings[i]
	p := o.places[s.file]
	base := p.base
	switch {
	case p.last && procps:
		base = "\xff" + base
	case p.last && len(o.links) > 0:
		base = path.Base(o.links[0].Name)
	}
	return rank{s.glob == "", base + fmt.Sprintf("\x00%06d", s.file), s.row}
}

func (o *order) before(i, j int, procps bool) bool {
	a, b := o.ranks[i], o.ranks[j]
	if procps {
		a, b = o.procps[i], o.procps[j]
	}
	switch {
	case a.named != b.named:
		return !a.named
	case a.file != b.file:
		return a.file < b.file
	case a.row != b.row:
		return a.row < b.row
	}
	return i < j
}

// ladder is the settings of one key that are read together and do something, so that the first and the last are at hand.
type ladder struct {
	taken   []int // in systemd's order, without those that the kernel refuses
	last    int   // the one that wins with systemd, -1 for none, as all below
	other   int   // the last whose value is another than the winner's
	refused int   // the last that the kernel refuses
	procps  int   // the one that wins with sysctl --system
}

// ladder is what setting i stands among; it is empty where nothing overrides it. All refusals are known by then.
func (o *order) ladder(i int) *ladder {
	s := o.settings[i]
	if !oneOfForms(s.form, asConf, asWrite, asLimits, asUnit, asQueue) || o.branches[s.file] || roleOf(o.files[s.file].Name) == treeRole {
		return &ladder{last: -1, other: -1, refused: -1, procps: -1} // in a tree, two names of one setting belong to two things
	}
	key := o.rivalKey(i)
	if o.ladders[key] == nil {
		o.ladders[key] = o.build(o.rival[key])
	}
	return o.ladders[key]
}

func (o *order) build(all []int) *ladder {
	l := &ladder{last: -1, other: -1, refused: -1, procps: -1}
	for _, j := range all {
		switch {
		case o.skipped(o.settings[j].file):
		case o.refused[j]:
			l.refused = o.later(l.refused, j, false)
		default:
			l.taken, l.procps = append(l.taken, j), o.later(l.procps, j, true)
		}
	}
	slices.SortFunc(l.taken, func(a, b int) int {
		switch {
		case o.before(a, b, false):
			return -1
		case o.before(b, a, false):
			return 1
		}
		return 0
	})
	for _, j := range l.taken {
		if l.last >= 0 && !o.same(l.last, j) {
			l.other = l.last
		}
		l.last = j
	}
	return l
}

// later is the one of two settings that comes later; the first may be -1.
func (o *order) later(a, b int, procps bool) int {
	if a < 0 || o.before(a, b, procps) {
		return b
	}
	return a
}

// after is j where it comes after i, else -1.
func (o *order) after(i, j int, procps bool) int {
	if j < 0 || !o.before(i, j, procps) {
		return -1
	}
	return j
}

// differing is the last setting after i with another value than i.
func (o *order) differing(i int, l *ladder) int {
	if l.last >= 0 && !o.same(i, l.last) {
		return o.after(i, l.last, false)
	}
	return o.after(i, l.other, false)
}

func oneOfForms(f form, all ...form) bool { return slices.Contains(all, f) }

// maskedBy is the file because of which one is not read: it has the same name and stands in a directory that goes first. -1 for none.
func (o *order) maskedBy(file int) int { return o.masks[file] }

func (o *order) findMask(file int) int {
	p := o.places[file]
	return slices.IndexFunc(indexesOf(o.places), func(j int) bool {
		q := o.places[j]
		return o.atBoot[j] && o.atBoot[file] && !p.last && !q.last && q.root == p.root && q.base == p.base && q.rank < p.rank
	})
}

func indexesOf(places []place) []int {
	out := make([]int, len(places))
	for i := range out {
		out[i] = i
	}
	return out
}

// unread says whether the file is /etc/sysctl.conf of a host that has no link to it: systemd does not read it then.
func (o *order) unread(file int) bool {
	return o.boot && o.atBoot[file] && o.places[file].last && len(o.links) == 0
}

// verdicts are the notes that follow from the order.
func (o *order) verdicts(i int) (notes []Note) {
	s := o.settings[i]
	if m := o.maskedBy(s.file); s.target == "" && m >= 0 {
		return []Note{{Overridden, "The whole file is passed over: " + o.files[m].Name + " has the same name and its directory goes first.", orderSource}}
	}
	if o.refused[i] {
		return nil
	}
	l := o.ladder(i)
	if later := o.differing(i, l); later >= 0 {
		return []Note{o.overridden(i, later, l)}
	}
	if j := o.after(i, l.refused, false); j >= 0 && s.form == asConf {
		notes = append(notes, Note{Overridden, upper(o.at(i, j)) + " sets it again to a value that the kernel refuses: systemd-sysctl writes the last one alone, so that nothing is set; sysctl -p writes both, and this one stays.", orderSource})
	}
	if j := o.twin(i, l); j >= 0 {
		notes = append(notes, Note{Duplicate, upper(o.at(i, j)) + " sets it to the same value already: one of the two can go.", orderSourceOf(s.form)})
	}
	return notes
}

// aside is what holds with sysctl --system alone: it reads sysctl.conf after all other files.
func (o *order) aside(i int) (Note, bool) {
	if !o.atBoot[o.settings[i].file] || o.refused[i] || o.maskedBy(o.settings[i].file) >= 0 {
		return Note{}, false
	}
	l := o.ladder(i)
	j := o.after(i, l.procps, true)
	if j < 0 || o.same(i, j) || o.after(i, l.last, false) >= 0 {
		return Note{}, false
	}
	return Note{Overridden, "This line wins at boot, where systemd-sysctl reads the files; sysctl --system reads sysctl.conf last, and then " + o.at(i, j) + " wins with " + value(o.settings[j]) + ".", orderSource}, true
}

const orderSource = "sysctl.d(5), sysctl(8); measured with systemd 252 and procps 4.0.2"

// orderSourceOf is where it stands that the last line wins.
func orderSourceOf(f form) string {
	switch f {
	case asConf:
		return orderSource
	case asUnit:
		return "systemd.syntax(7)"
	case asLimits:
		return "limits.conf(5)"
	}
	return "the lines run one after the other"
}

// overridden names the line that wins in the end.
func (o *order) overridden(i, later int, l *ladder) Note {
	winner := l.last
	why := upper(o.at(i, winner)) + " wins: it sets " + value(o.settings[winner]) + "."
	switch {
	case o.same(i, winner):
		why = upper(o.at(i, later)) + " sets " + value(o.settings[later]) + " after it, and " + o.at(i, winner) + " sets this value again and wins."
	case o.settings[i].glob != "" && o.settings[winner].glob == "":
		why = upper(o.at(i, winner)) + " names the setting in full and wins over the pattern: it sets " + value(o.settings[winner]) + "."
	}
	if p := o.after(i, l.procps, true); p != winner && p >= 0 && !o.same(p, winner) {
		why += " sysctl --system reads sysctl.conf last; then " + o.at(i, p) + " wins with " + value(o.settings[p]) + "."
	} else if p < 0 && o.atBoot[o.settings[i].file] {
		why += " Where sysctl --system reads the files, sysctl.conf comes last and this line wins."
	}
	return Note{Overridden, why, orderSourceOf(o.settings[i].form)}
}

// twin is an earlier line with the same value and nothing else between.
func (o *order) twin(i int, l *ladder) int {
	n := sort.Search(len(l.taken), func(k int) bool { return !o.before(l.taken[k], i, false) })
	if n > 0 && o.same(i, l.taken[n-1]) {
		return l.taken[n-1]
	}
	return -1
}

// same says whether two settings have the same value.
func (o *order) same(i, j int) bool { return o.values[i] == o.values[j] }

// valueOf is a value in one way of writing: numbers in decimal, one blank between words.
func valueOf(s setting) string {
	n := 1
	if r := ruleOf(s.key); r != nil {
		n = max(r.takes.n, 1)
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

// skipped says whether systemd does not read the file: it is masked, or hidden, or is a sysctl.conf without a link.
func (o *order) skipped(file int) bool {
	return o.maskedBy(file) >= 0 || o.unread(file) || o.hidden(file)
}

func (o *order) hidden(file int) bool {
	return o.atBoot[file] && strings.HasPrefix(path.Base(o.files[file].Name), ".")
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
