package lint

import (
	"path"

	"github.com/maxconn/maxconn/internal/knob"
)

// Patterns match some hundred names each. Above the first number of matches a pattern is
// reported once and its matches only count for the order; above the second they do not
// count any more, and the report says so. No file that a person wrote comes near.
const (
	mostTold    = 10000
	mostCounted = 20000
)

const tooManyPatterns = "These files have so many patterns that not all of them are counted in " +
	"the order of the lines."

// markRepeated notes of each pattern of a file that it stands there again further down:
// then the lines above set nothing that lasts, and are reported once each.
func markRepeated(settings []setting) {
	later := map[string]*setting{}
	for i := len(settings) - 1; i >= 0; i-- {
		s := &settings[i]
		if !oneOfForms(s.form, asConf, asWrite) || !knob.IsGlob(s.key) {
			continue
		}
		key := string(rune(s.form)) + s.key + "\x00" + s.target + "\x00" + s.where
		if l := later[key]; l != nil && !variable(l.value) {
			s.again, s.againSame = l.row, value(*l) == value(*s)
			continue
		}
		later[key] = s
	}
}

// expand takes a setting, and gives each that a glob matches its own verdict; those outside of TCP
// are not worth one each. What "-key" matches only counts for the order.
func (j *judge) expand(s setting) {
	if !oneOfForms(s.form, asConf, asWrite, asExclude) || !knob.IsGlob(s.key) ||
		s.flaw != nil || isName(s.key) {
		j.settings = append(j.settings, s)
		return
	}
	names := j.matching(s.key)
	if len(names) == 0 || s.again > 0 {
		if len(names) == 0 {
			s.again = 0
		}
		j.settings = append(j.settings, s)
		return
	}
	j.matches += len(names)
	whole := s
	whole.matches = len(names)
	switch {
	case j.matches > mostCounted:
		j.settings = append(j.settings, whole)
	case s.form == asExclude || j.matches > mostTold:
		j.settings = append(append(j.settings, whole), each(s, names, true)...)
	default:
		j.settings = append(j.settings, each(s, names, false)...)
	}
}

// each is a setting for each name that its pattern matches.
func each(s setting, names []string, silent bool) (out []setting) {
	for _, key := range names {
		one := s
		one.key, one.glob, one.silent = key, s.key, silent
		out = append(out, one)
	}
	return out
}

// matching are the names about connections that a pattern matches.
func (j *judge) matching(pattern string) []string {
	if names, ok := j.matched[pattern]; ok {
		return names
	}
	var names []string
	below := knob.Path(pattern)
	for _, n := range connectionNames() {
		if ok, err := path.Match(below, n.path); err == nil && ok {
			names = append(names, n.Name)
		}
	}
	if j.matched == nil {
		j.matched = map[string][]string{}
	}
	j.matched[pattern] = names
	return names
}
