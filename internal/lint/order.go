package lint

import (
	"fmt"
	"path"
	"slices"
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
	rival    map[string][]int // settings by group and key
	byKey    map[string][]int // settings by key
}

func newOrder(files []File, settings []setting, boot bool) *order {
	o := &order{
		files: files, settings: settings, boot: boot,
		places: make([]place, len(files)), atBoot: make([]bool, len(files)),
		refused: make([]bool, len(settings)), groups: make([]string, len(settings)), values: make([]string, len(settings)),
		rival: map[string][]int{}, byKey: map[string][]int{},
	}
	for i, f := range files {
		o.places[i], o.atBoot[i] = placeOf(f.Name)
		if f.Same != "" && o.atBoot[i] {
			o.links = append(o.links, f)
		}
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

// rivals are the other settings of the same key that are read together with i and do something.
func (o *order) rivals(i int) (out []int) {
	s := o.settings[i]
	if !oneOfForms(s.form, asConf, asWrite, asLimits, asUnit, asQueue) || o.branches[s.file] || roleOf(o.files[s.file].Name) == treeRole {
		return nil // in a tree, two names of one setting belong to two things
	}
	for _, j := range o.rival[o.rivalKey(i)] {
		if file := o.settings[j].file; j != i && !o.skipped(file) {
			out = append(out, j)
		}
	}
	return out
}

func oneOfForms(f form, all ...form) bool { return slices.Contains(all, f) }

// maskedBy is the file because of which one is not read: it has the same name and stands in a directory that goes first. -1 for none.
func (o *order) maskedBy(file int) int {
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
	rivals := o.rivals(i)
	later := o.pick(i, rivals, func(j int) bool { return o.before(i, j, false) && !o.refused[j] && !o.same(i, j) })
	if later >= 0 {
		return []Note{o.overridden(i, later, rivals)}
	}
	if j := o.pick(i, rivals, func(j int) bool { return o.before(i, j, false) && o.refused[j] }); j >= 0 && s.form == asConf {
		notes = append(notes, Note{Overridden, upper(o.at(i, j)) + " sets it again to a value that the kernel refuses: systemd-sysctl writes the last one alone, so that nothing is set; sysctl -p writes both, and this one stays.", orderSource})
	}
	if j := o.twin(i, rivals); j >= 0 {
		notes = append(notes, Note{Duplicate, upper(o.at(i, j)) + " sets it to the same value already: one of the two can go.", orderSourceOf(s.form)})
	}
	return notes
}

// aside is what holds with sysctl --system alone: it reads sysctl.conf after all other files.
func (o *order) aside(i int) (Note, bool) {
	if !o.atBoot[o.settings[i].file] || o.refused[i] || o.maskedBy(o.settings[i].file) >= 0 {
		return Note{}, false
	}
	rivals := o.rivals(i)
	j := o.pickProcps(i, rivals)
	if j < 0 || o.same(i, j) || o.pick(i, rivals, func(k int) bool { return o.before(i, k, false) && !o.refused[k] }) >= 0 {
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

// pick is the last of the rivals, in the order of systemd, of which ok holds; -1 for none.
func (o *order) pick(i int, rivals []int, ok func(j int) bool) int {
	best := -1
	for _, j := range rivals {
		if ok(j) && (best < 0 || o.before(best, j, false)) {
			best = j
		}
	}
	return best
}

// overridden names the line that wins in the end.
func (o *order) overridden(i, later int, rivals []int) Note {
	winner := o.pick(i, rivals, func(j int) bool { return o.before(i, j, false) && !o.refused[j] })
	why := upper(o.at(i, winner)) + " wins: it sets " + value(o.settings[winner]) + "."
	switch {
	case o.same(i, winner):
		why = upper(o.at(i, later)) + " sets " + value(o.settings[later]) + " after it, and " + o.at(i, winner) + " sets this value again and wins."
	case o.settings[i].glob != "" && o.settings[winner].glob == "":
		why = upper(o.at(i, winner)) + " names the setting in full and wins over the pattern: it sets " + value(o.settings[winner]) + "."
	}
	if p := o.pickProcps(i, rivals); p != winner && p >= 0 && !o.same(p, winner) {
		why += " sysctl --system reads sysctl.conf last; then " + o.at(i, p) + " wins with " + value(o.settings[p]) + "."
	} else if p < 0 && o.atBoot[o.settings[i].file] {
		why += " Where sysctl --system reads the files, sysctl.conf comes last and this line wins."
	}
	return Note{Overridden, why, orderSourceOf(o.settings[i].form)}
}

// pickProcps is the line that wins with sysctl --system, -1 where that is i itself.
func (o *order) pickProcps(i int, rivals []int) int {
	best := -1
	for _, j := range rivals {
		if o.before(i, j, true) && !o.refused[j] && (best < 0 || o.before(best, j, true)) {
			best = j
		}
	}
	return best
}

// twin is an earlier line with the same value and nothing else between.
func (o *order) twin(i int, rivals []int) int {
	best := -1
	for _, j := range rivals {
		if o.before(j, i, false) && !o.refused[j] && (best < 0 || o.before(best, j, false)) {
			best = j
		}
	}
	if best >= 0 && o.same(i, best) {
		return best
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
