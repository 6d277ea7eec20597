package lint

// orderSource is what the order of a boot rests on.
const orderSource = "sysctl.d(5), sysctl(8); measured with systemd 252 and procps 4.0.2"

// orderSourceOf is where it stands that the last line wins.
func orderSourceOf(f form) string {
	switch f {
	case asConf, asExclude:
		return orderSource
	case asUnit:
		return "systemd.syntax(7)"
	case asProgram:
		return "redis src/config.c loadServerConfigFromString; postgresql " +
			"src/backend/utils/misc/guc-file.l; MySQL Reference Manual, Using Option " +
			"Files; httpd server/config.c"
	case asLimits:
		return "limits.conf(5)"
	}
	return "the lines run one after the other"
}

// verdicts are the notes that follow from the order.
func (o *order) verdicts(i int) (notes []Note) {
	s := o.settings[i]
	if m := o.maskedBy(s.file); s.target == "" && m >= 0 {
		return []Note{{Overridden, "The whole file is ignored: " + o.files[m].Name +
			" has the same name and its directory goes first.", orderSource}}
	}
	switch {
	case s.form == asExclude:
		return []Note{o.exclusion(i)}
	case o.refused[i]:
		return nil
	case s.again > 0:
		return []Note{o.repeated(s)}
	}
	l := o.precedence(i)
	if later := o.differing(i, l); later >= 0 {
		return []Note{o.overridden(i, later, l)}
	}
	if l.excluded >= 0 && !o.skipped(s.file) {
		return []Note{o.removed(i, l)}
	}
	if j := o.after(i, l.refused, o.systemd); j >= 0 && s.form == asConf {
		notes = append(notes, Note{Overridden,
			upper(o.at(i, j)) + " sets it again to a value that the kernel " +
				"refuses: systemd-sysctl writes the last one alone, so that " +
				"nothing is set; sysctl -p writes both, and this one stays.",
			orderSource})
	}
	if j := o.duplicate(i, l); j >= 0 {
		notes = append(notes, Note{Duplicate,
			upper(o.at(i, j)) + " sets it to the same value already: one of the " +
				"two can go.", orderSourceOf(s.form)})
	}
	return notes
}

// procpsNote is what holds with sysctl --system alone: it reads sysctl.conf after all other files.
func (o *order) procpsNote(i int) (Note, bool) {
	if !o.atBoot[o.settings[i].file] || o.refused[i] || o.maskedBy(o.settings[i].file) >= 0 {
		return Note{}, false
	}
	l := o.precedence(i)
	j := l.procps
	if j < 0 || o.same(i, j) || i != l.last {
		return Note{}, false
	}
	return Note{Overridden, "This line wins at boot, where systemd-sysctl reads the files; " +
		o.withProcps(i, j) + ".", orderSource}, true
}

// withProcps says who wins with sysctl --system, and why where that is the place of sysctl.conf.
func (o *order) withProcps(i, j int) string {
	wins := o.at(i, j) + " wins with " + value(o.settings[j])
	if o.places[o.settings[j].file].last {
		return "sysctl --system reads sysctl.conf last, and then " + wins
	}
	return "with sysctl --system " + wins
}

// overridden names the line that wins in the end.
func (o *order) overridden(i, later int, l *precedence) Note {
	winner := l.last
	why := upper(o.at(i, winner)) + " wins: it sets " + value(o.settings[winner]) + "."
	switch {
	case o.same(i, winner):
		why = upper(o.at(i, later)) + " sets " + value(o.settings[later]) +
			" after it, and " + o.at(i, winner) + " sets this value again and wins."
	case o.settings[i].glob != "" && o.settings[winner].glob == "":
		why = upper(o.at(i, winner)) +
			" names the setting in full and wins over the pattern: it sets " +
			value(o.settings[winner]) + "."
	case o.before(winner, i, o.systemd) && o.settings[winner].form == asConf &&
		!o.skipped(o.settings[i].file):
		why = upper(o.at(i, winner)) + " wins: it sets " + value(o.settings[winner]) +
			" under the setting's other name, and systemd-sysctl writes a name " +
			"that is given one value twice only once, at its first place."
	}
	switch p := l.procps; {
	case p == i && o.places[o.settings[i].file].last:
		why += " Where sysctl --system reads the files, sysctl.conf comes last and " +
			"this line wins."
	case p == i && o.atBoot[o.settings[i].file]:
		why += " With sysctl --system this line wins."
	case p >= 0 && p != winner && !o.same(p, winner):
		why += " " + upperFirst(o.withProcps(i, p)) + "."
	}
	return Note{Overridden, why, orderSourceOf(o.settings[i].form)}
}

func upperFirst(s string) string { return string(s[0]-'a'+'A') + s[1:] }

// removed is for a line after which "-key" stands.
func (o *order) removed(i int, l *precedence) Note {
	why := upper(o.at(i, l.excluded)) +
		" removes it: a name with - in front and without a value makes systemd-sysctl " +
		"leave the setting alone."
	if l.procps >= 0 {
		why += " sysctl --system skips that line and sets " + value(o.settings[l.procps]) +
			"."
	}
	return Note{Overridden, why,
		"sysctl.d(5), systemd src/sysctl/sysctl.c parse_line; measured with systemd " +
			"252 and procps 4.0.2"}
}

// repeated is for a pattern that stands again further down in its file.
func (o *order) repeated(s setting) Note {
	later := o.lineOf(s.file, setting{file: s.file, row: s.again})
	if s.againSame {
		return Note{Duplicate, upper(later) +
			" has the same pattern and value: one of the two can go.",
			orderSourceOf(s.form)}
	}
	return Note{Overridden, upper(later) + " has the same pattern with another value and wins.",
		orderSourceOf(s.form)}
}

func plural(n int) string {
	if n == 1 {
		return "1 setting"
	}
	return count(int64(n)) + " settings"
}

// exclusion is what a "-key" without a value does.
func (o *order) exclusion(i int) Note {
	l := o.precedence(i)
	switch {
	case o.settings[i].matches > 0:
		return Note{Effective,
			"Removes earlier lines with this very pattern (systemd-sysctl), and " +
				"keeps all patterns away from what it matches, " +
				plural(o.settings[i].matches) + " about connections among them " +
				"(sysctl --system).", orderSource}
	case !isTCP(o.settings[i].key):
		return Note{Unrelated,
			"Keeps patterns away from a setting that is not about how many " +
				"connections there can be.", ""}
	case l.excluded == i && len(l.taken) > 0 && o.settings[l.taken[len(l.taken)-1]].glob == "":
		j := l.taken[len(l.taken)-1]
		return Note{Effective, "Takes " + o.at(i, j) +
			" back: systemd-sysctl leaves the setting as it is. sysctl --system " +
			"sets it all the same.", orderSource}
	case l.excluded == i && len(l.taken) > 0:
		return Note{Effective, "Keeps the pattern " + o.settings[l.taken[0]].glob + " of " +
			o.at(i, l.taken[0]) + " away from the setting.", orderSource}
	case l.last >= 0 && o.settings[l.last].glob == "":
		return Note{NoEffect,
			"A line with - in front and without a value removes what stands before " +
				"it and keeps patterns away; " + o.at(i, l.last) +
				" comes later and sets " + value(o.settings[l.last]) + ".",
			orderSource}
	case o.boot:
		return Note{NoEffect,
			"Keeps patterns away from the setting, and no file has one that " +
				"matches it.", orderSource}
	}
	return Note{Effective,
		"Keeps patterns of any file away from the setting, and sets nothing.", orderSource}
}
