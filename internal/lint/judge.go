package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// Lint says what each line of the files does on the target. Unrelated lines are in the
// report too; Brief takes them out.
func Lint(files []File, target Target) Report {
	g := newEnv(target)
	j := &judge{env: g}
	r := Report{Schema: "maxconn.lint/1", Kernel: g.text, Cautions: g.cautions()}
	all := newGiven(files)
	for i, f := range files {
		if f.Same == "" && f.Unread == "" && !notText(f.Text) {
			all.parse(j, i, nil)
		}
	}
	j.follow(all)
	j.files, j.by = all.files, all.by
	for i, f := range j.files {
		if f.Same != "" {
			j.branches, j.apart = append(j.branches, false), append(j.apart, false)
			continue
		}
		if f.Unread != "" {
			r.Unread = append(r.Unread, Unread{f.Name, f.Unread})
			j.branches, j.apart = append(j.branches, false), append(j.apart, false)
			continue
		}
		reading := j.load(i, f, all)
		if f.Found && reading.Settings == 0 && !reading.leadsOn() {
			r.Passed++
			continue
		}
		r.Read = append(r.Read, reading)
		r.Files = append(r.Files, f.Name)
	}
	if len(j.settings) > mostSettings {
		j.cutOff()
	}
	if j.matches > mostCounted {
		r.Cautions = append(r.Cautions, tooManyPatterns)
	}
	r.Lines = j.lines(target.Boot)
	if j.spelled.full {
		r.Cautions = append(r.Cautions, tooManySpelled)
	}
	return r
}

// mostSettings is how many settings are judged, those that patterns stand for included. No
// host has as many.
const mostSettings = 40000

// cutOff leaves out what is too much, and says so in its place: what is not judged is not clean.
func (j *judge) cutOff() {
	next := j.settings[mostSettings]
	end := stray("", "", Note{NoEffect, "From here on nothing is judged: there are more than " +
		count(mostSettings) + " settings.", ""})
	end.file, end.row = next.file, next.row
	j.settings = append(j.settings[:mostSettings], end)
}

// lines judges every setting by itself, which shows what the kernel refuses, and then in
// the order of all.
func (j *judge) lines(boot bool) (out []Line) {
	j.order = newOrder(j.files, j.settings, j.by, boot)
	j.order.branches, j.order.apart = j.branches, j.apart
	for i, s := range j.settings {
		j.order.absent[i] = oneOfForms(s.form, asConf, asWrite, asExclude) && j.lacks(s.key)
		j.order.refused[i] = s.flaw == nil && (j.order.absent[i] || j.isRefused(s))
	}
	j.order.rank()
	evaluations := make([]evaluation, len(j.settings))
	for i, s := range j.settings {
		evaluations[i] = evaluation{setting: s, env: j.env, rule: ruleOf(s.key),
			order: j.order, index: i}
		evaluations[i].judge()
	}
	for i := range evaluations {
		j.order.refused[i] = evaluations[i].setsNothing()
	}
	out = make([]Line, 0, len(j.settings))
	for i := range evaluations {
		c := &evaluations[i]
		if !j.settings[i].silent {
			out = append(out, j.line(i, c))
		}
	}
	return out
}

// setsNothing says whether the kernel refuses the line, or has no such setting.
func (c *evaluation) setsNothing() bool {
	// what a program asks is cut down, and not refused
	refuses := c.form != asProgram && !slices.Contains(socketItems, c.key)
	return slices.ContainsFunc(c.notes, func(n Note) bool {
		return refuses && n.Verdict == OutOfBounds ||
			n.Verdict == Gone || n.Verdict == UnknownKey
	})
}

// cautions are what holds of all verdicts.
func (g *env) cautions() (out []string) {
	switch {
	case g.kernel.Known() && g.kernel.Compare(oldest) < 0:
		out = append(out, "Linux "+g.kernel.Series().String()+
			" is older than 4.4, the oldest whose sources maxconn knows: verdicts "+
			"are those of 4.4 where nothing else is said.")
	case latest.Compare(g.kernel.Series()) < 0:
		out = append(out, "Linux "+g.kernel.Series().String()+" is newer than "+
			latest.String()+", the newest whose sources maxconn knows.")
	case g.kernel.Backports() != "":
		out = append(out, "T"+g.kernel.Backports()[1:]+", changes of newer kernels: where "+
			"a verdict rests on a version, look at the running value as well.")
	}
	return out
}

// judge is one run over the files.
type judge struct {
	*env
	files    []File
	settings []setting
	branches []bool      // by file: its lines need not all run
	apart    []bool      // by file: two names of one setting belong to two things
	by       []inclusion // by file
	order    *order
	matches  int                 // of patterns, so far
	matched  map[string][]string // by pattern
}

// load takes over the settings of a file.
func (j *judge) load(i int, f File, g *given) Reading {
	if notText(f.Text) {
		s := stray("", "", Note{NoEffect,
			"The file is no text: it has NUL bytes (perhaps UTF-16, or a binary). " +
				"Nothing that reads settings can read it.", ""})
		s.file, s.row = i, 1
		j.settings, j.branches = append(j.settings, s), append(j.branches, false)
		j.apart = append(j.apart, false)
		return Reading{File: f.Name, Format: binaryName(f.Text), Settings: 1}
	}
	p, marked := g.parsed[i], g.marked[i]
	g.parsed[i] = nil // its settings are taken over
	j.branches = append(j.branches, p.branches)
	j.apart = append(j.apart, p.format.apart)
	for n := range p.settings {
		s := &p.settings[n]
		s.file = i
		if marked && s.row == 1 && s.form == asConf && p.format.role == sysctlRole {
			s.flaw = &markInFront
		}
	}
	markRepeated(p.settings)
	j.settings = slices.Grow(j.settings, len(p.settings))
	for _, s := range p.settings {
		j.expand(s)
	}
	return p.reading(f)
}

// reading is how the file was read.
func (p *parser) reading(f File) Reading {
	return Reading{File: f.Name, Format: p.format.name, Supported: p.format.by != byNone,
		Settings: len(p.settings), Refers: p.refers,
		IncludedBy: p.included, IncludedAt: p.includedAt,
		NotJudged: len(p.settings) == 0 && !p.format.whole && !f.Found &&
			(f.Piped || !isEmpty(f.Text))}
}

// leadsOn says whether it includes a file that was not read, or names a setting in an unknown form.
func (r Reading) leadsOn() bool {
	return slices.ContainsFunc(r.Refers, func(u Reference) bool {
		return u.path != "" || u.Mention != ""
	})
}

// isEmpty says whether there is nothing in a file but comments.
func isEmpty(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if t := strings.TrimSpace(line); t != "" && !isComment(t) {
			return false
		}
	}
	return true
}

// isRefused says whether the form of the value alone makes the kernel refuse it.
func (j *judge) isRefused(s setting) bool {
	r := ruleOf(s.key)
	return (s.form == asConf || s.form == asWrite) && r != nil && !s.isMade() &&
		refused(r.Takes, s.value, j.kernel) != ""
}

// line puts together what is known of one setting.
func (j *judge) line(i int, c *evaluation) Line {
	s := j.settings[i]
	sysctl := oneOfForms(s.form, asConf, asWrite, asExclude)
	out := Line{
		File:  j.files[s.file].Name,
		Line:  s.row,
		Key:   s.key,
		Value: s.value,
		Scope: s.world.scope,
		Form:  s.form.String(),
		Into:  strings.TrimPrefix(s.target, "\x00"),
		TCP:   isTCP(s.key) || s.again > 0 || s.matches > 0,
	}
	if !sysctl {
		out.TCP = s.form != asLimits || s.key == "nofile" || s.key == "nproc"
	}
	notes := c.notes
	if s.flaw == nil && !(s.form == asExclude && len(notes) > 0) {
		notes = append(notes, j.order.verdicts(i)...)
	}
	slices.SortStableFunc(notes, func(a, b Note) int {
		return cmp.Compare(gravity(a.Verdict), gravity(b.Verdict))
	})
	if procpsNote, ok := j.order.procpsNote(i); ok && s.flaw == nil {
		notes = append(notes, procpsNote)
	}
	if where, ok := j.placement(s); ok {
		notes = append([]Note{where}, notes...)
	}
	if s.flaw != nil {
		notes = append([]Note{*s.flaw}, notes...)
	}
	first := notes[0]
	out.Verdict, out.Why, out.Source, out.Notes = first.Verdict, first.Why, first.Source,
		notes[1:]
	if s.glob != "" {
		out.Why = "Matched by " + s.glob + ". " + out.Why
	}
	if now, ok := j.running(knob.Main(s.key)); ok && sysctl && s.world.scope == "" &&
		s.form != asExclude &&
		!sameText(now, s.value) {
		out.Running = now
	}
	return out
}

func gravity(v Verdict) int { return slices.Index(Verdicts, v) }

// judge finds the notes of a setting by itself.
func (c *evaluation) judge() {
	if c.again > 0 {
		return // the later line is judged
	}
	switch c.form {
	case asStray:
	case asExclude:
		if note, ok := c.absent(); ok && c.glob == "" && !knob.IsGlob(c.key) {
			c.notes = append(c.notes, note)
		}
		return // what it does follows from the order
	case asLimits, asUlimit, asUnit, asContainer:
		if c.isMade() && !strings.Contains(c.key, "Memory") {
			c.note(UnknownValue, notKnown, "limits.conf(5), systemd.exec(5)")
			break
		}
		c.rlimit()
	case asQueue:
		if c.isMade() {
			c.note(UnknownValue, notKnown, "ip-link(8)")
			break
		}
		c.queue()
	case asModule, asOption:
		c.module()
	case asProgram:
		c.program()
	default:
		c.sysctl()
	}
	if len(c.notes) == 0 && c.flaw == nil {
		c.note(Unrelated, "Is not about how many connections there can be.", "")
	}
}

// sysctl judges a line that sets one.
func (c *evaluation) sysctl() {
	if c.matches > 0 {
		c.note(Effective, "Sets what the pattern matches, "+count(int64(c.matches))+
			" settings about connections among them. There are too many such lines "+
			"to tell of each setting.", orderSource)
		return
	}
	if note, ok := c.absent(); ok {
		c.notes = append(c.notes, note)
		return
	}
	if note, ok := c.inContainer(); ok {
		c.notes = append(c.notes, note)
		return
	}
	if note, ok := c.outOfReach(); ok {
		c.notes = append(c.notes, note)
		return
	}
	switch {
	case c.rule == nil:
		c.notes = append(c.notes, familyNote(c.key))
		return
	case c.isMade() && c.rule.Aside:
		c.note(Unrelated, notKnown+whatItDoes(c.rule), c.rule.Source)
		return
	case c.isMade():
		c.note(UnknownValue, notKnown+whatItDoes(c.rule), c.rule.Source)
		return
	}
	if why := refused(c.rule.Takes, c.value, c.kernel); why != "" {
		c.note(OutOfBounds, "The kernel refuses the value and nothing is set: "+why+".",
			c.rule.Source)
		return
	}
	v := vector{}
	if c.rule.Takes.N > 0 {
		v = numbers(c.value, c.rule.Takes.N)
		c.n, c.rest = v.n, v.rest
	}
	if note, ok := c.stays(); ok {
		c.notes = append(c.notes, note)
		return
	}
	c.apply()
	c.asWritten(v)
	c.inPod()
}

const notKnown = "The value is made by a shell, a template or a program and is not known here."

// isMade says whether the value is not in the file.
func (s setting) isMade() bool { return s.made || variable(s.value) }

// whatItDoes is a rule's text where it fits a value that is not known.
func whatItDoes(r *rule) string {
	switch {
	case r.does == "" && r.judge == nil:
		return " " + inSentences(r.Does, r.Not)
	case r.does == "" || strings.Contains(r.does, "{v}"):
		return ""
	}
	return " " + r.does
}

// apply uses the rule, or else the words of the row.
func (c *evaluation) apply() {
	switch r := c.rule; {
	case r.judge != nil:
		r.judge(c)
	case r.less != "":
		d, _ := c.standard()
		c.compare(d, first(c.n), c.fill(r.does), r.less, c.fill(r.lessWhy))
	case r.does != "":
		c.say(Effective, r.does)
	case r.Takes.Kind == knob.Shown:
		c.note(NoEffect, "The write fails. "+inSentences(r.Does, r.Not), r.Source)
	case r.Aside:
		c.note(Unrelated, inSentences(r.Does, r.Not)+c.sets(), r.Source)
	default:
		c.note(Effective, inSentences(r.Does, r.Not)+c.sets(), r.Source)
	}
}

// inSentences makes sentences of a row's words, which go on after the name.
func inSentences(does, not string) string {
	out := strings.ToUpper(does[:1]) + does[1:] + "."
	if not != "" {
		out += " It " + not + "."
	}
	return out
}

// sets is the value, and the default beside it.
func (c *evaluation) sets() string {
	out := " The line sets " + c.shown()
	if d, ok := c.standard(); ok && d.Known {
		out += c.fill("; the default is {d}")
	}
	return out + "."
}

// asWritten adds what is odd about the way in which the value is written.
func (c *evaluation) asWritten(v vector) {
	if v.rest != "" {
		c.caution("What stands behind the number is no comment in sysctl.d: the kernel " +
			"reads the number and skips the rest (measured).")
	}
	if v.octal {
		c.caution("A leading zero makes the number octal: it counts as " + c.shown() + ".")
	}
}
