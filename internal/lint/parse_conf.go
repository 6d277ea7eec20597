package lint

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/maxconn/maxconn/internal/knob"
)

var (
	notAssignment = Note{NoEffect,
		"The line is not an assignment: sysctl.d files and sysctl.conf hold key = " +
			"value, and systemd-sysctl and sysctl ignore everything else with a " +
			"warning.", "sysctl.d(5), sysctl.conf(5); measured with systemd 252 " +
			"and procps 4.0.2"}
	commandInConf = Note{NoEffect,
		"A sysctl.d file holds key = value and no commands: sysctl is taken for part " +
			"of the name, there is no such setting, and nothing is set. Take the " +
			"command away and leave the assignment.",
		"sysctl.d(5); measured with systemd 252 and procps 4.0.2"}
	procInConf = Note{NoEffect,
		"Names in sysctl.d files and sysctl.conf stand without /proc/sys: " +
			"systemd-sysctl and sysctl look for /proc/sys/proc/sys/... and set " +
			"nothing.", "sysctl.d(5); measured with systemd 252 and procps 4.0.2"}
	markInFront = Note{NoEffect,
		"The file begins with a byte order mark (an editor's mark of UTF-8), which " +
			"becomes part of the name: systemd-sysctl and sysctl find no such " +
			"setting and skip this line. Save the file without the mark.",
		"measured with systemd 252 and procps 4.0.2"}
)

// confLine reads a line as systemd-sysctl and sysctl -p do.
func (p *parser) confLine(t string) {
	name, value, ok := strings.Cut(t, "=")
	switch {
	case !ok && strings.HasPrefix(t, "$"): // lines that a shell makes
		return
	case !ok && looksLikeKey(trim(strings.TrimPrefix(t, "-"))) && strings.HasPrefix(t, "-"):
		p.add(setting{form: asExclude, key: knob.Key(trim(t[1:]))})
		return
	case !ok && strings.HasPrefix(t, "-"): // leaves alone what is no setting
		return
	case !ok:
		p.add(strayLine(t))
		return
	}
	name = trim(name)
	s := setting{form: asConf, value: trim(value)}
	if rest, ok := strings.CutPrefix(name, "-"); ok {
		s.optional, name = true, trim(rest)
	}
	words := strings.Fields(name)
	switch {
	case len(words) > 1 && strings.Contains(t, "sysctl") && looksLikeKey(words[len(words)-1]):
		s.flaw, name = &commandInConf, words[len(words)-1]
	case strings.HasPrefix(name, "/proc/sys/"):
		s.flaw, name = &procInConf, strings.TrimPrefix(name, "/proc/sys")
	}
	s.key = knob.Key(name)
	p.add(s)
}

// strayLine is a line of sysctl.d that is no assignment.
func strayLine(t string) setting {
	name, rest := firstWord(t), ""
	if len(name) < len(t) {
		rest = trim(t[len(name):])
	}
	name = strings.TrimSuffix(name, ":")
	if looksLikeKey(name) {
		return stray(knob.Key(name), rest, notAssignment)
	}
	return stray(name, rest, notAssignment)
}

// assignment takes a line of sysctl.d in a file that may be anything.
func (p *parser) assignment(t string) bool {
	name, value, ok := strings.Cut(t, "=")
	name = trim(name)
	bare := trim(strings.TrimPrefix(name, "-"))
	switch {
	case !ok && bare != "" && name == "-"+bare && !strings.ContainsAny(bare, blank) &&
		looksLikeKey(bare):
		p.add(setting{form: asExclude, key: knob.Key(bare)})
		return true
	case !ok || strings.ContainsAny(bare, blank):
		return false
	case strings.HasSuffix(bare, "]") && !looksLikeKey(bare): // T[net.core.somaxconn]=1024
		at := strings.IndexByte(bare, '[')
		return at >= 0 && variableName.MatchString(bare[:at]) &&
			p.element(bare[at:], trim(value))
	case strings.HasPrefix(bare, "/proc/sys/"):
		p.confLine(t)
		return true
	case strings.HasPrefix(bare, "lxc."):
		return p.lxc(strings.TrimPrefix(bare, "lxc."), trim(value))
	case looksLikeKey(strings.TrimPrefix(bare, "sysctl.")): // also of the kernel's command line
		bare = strings.TrimPrefix(bare, "sysctl.")
	case !looksLikeKey(bare) && !isShortName(bare) && !p.isMisspelt(bare):
		return false
	}
	oneWay := ""
	// a profile of tuned: "=>" raises only, "=<" lowers only, quotes are taken off
	if p.section == "sysctl" {
		if value = trim(value); value != "" && (value[0] == '>' || value[0] == '<') {
			oneWay, value = value[:1], value[1:]
		}
		value = strings.Trim(trim(value), `"'`)
	}
	if p.role == anyRole && p.depth < 2 && isSentence(value) {
		return false
	}
	p.add(setting{
		form:     asConf,
		key:      knob.Key(bare),
		value:    trim(value),
		optional: bare != name,
		oneWay:   oneWay,
	})
	return true
}

// lxc takes what LXC sets for a container: lxc.sysctl.net.core.somaxconn, lxc.prlimit.nofile.
func (p *parser) lxc(name, value string) (found bool) {
	p.within(world{scope: OfContainer, given: true}, func() {
		if key, ok := strings.CutPrefix(name, "sysctl."); ok {
			p.add(setting{form: asConf, key: knob.Key(key), value: value})
			found = true
		} else if item, ok := strings.CutPrefix(name, "prlimit."); ok {
			p.containerUlimit(item + "=" + value)
			found = true
		}
	})
	return found
}

// isSentence says whether words follow a number, as where a sentence begins with a name.
func isSentence(value string) bool {
	value, _, _ = strings.Cut(strings.ReplaceAll(value, ";", "#"), "#")
	words := strings.Fields(value)
	return len(words) > 1 && isDigit(words[0][0]) && !isValue(value) &&
		strings.IndexFunc(words[len(words)-1], unicode.IsLetter) >= 0
}

// isRemark says whether a text begins as an assignment and goes on as a sentence.
func isRemark(text string) bool {
	name, value, ok := strings.Cut(text, "=")
	return ok && looksLikeKey(trim(name)) && isSentence(trim(value))
}

// element takes ["net.core.somaxconn"]="4096" of a table in a script.
func (p *parser) element(name, value string) bool {
	key, value := knob.Key(strings.Trim(name, `[]"'`)), bareWord(value)
	if !looksLikeKey(key) || value == "" || value[0] < '0' || value[0] > '9' {
		return false
	}
	p.add(setting{form: asConf, key: key, value: value})
	return true
}

// isShortName says whether a word is the last part of a sysctl about connections, written
// without the rest.
func isShortName(word string) bool {
	if !strings.Contains(word, "_") && word != "somaxconn" {
		return false
	}
	return shortNames()[word]
}

// shortNames are the last parts of the sysctls about connections.
var shortNames = sync.OnceValue(func() map[string]bool {
	all := map[string]bool{}
	for _, n := range knownNames() {
		if isTCP(n.Name) {
			all[knob.Last(n.Name)] = true
		}
	}
	return all
})

// isMisspelt says whether a word with parts is nearly the name of a setting:
// ipv4.tcp_fin_timeout, NET.CORE.SOMAXCONN.
func (p *parser) isMisspelt(word string) bool {
	root, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(word, "./")), ".")
	return strings.Contains(word, ".") && !strings.ContainsAny(word, "[]{}$*?:@") &&
		(strings.Contains(word, "_") || len(root) < 7) &&
		strings.IndexFunc(word, func(r rune) bool {
			return !isKeyRune(r)
		}) < 0 && len(p.spelled.nearest(word)) > 0
}

// stray reports a line that begins with the name of a setting, or with the words of a limit, and
// sets nothing.
func (p *parser) stray(t string) {
	if p.pages > 0 {
		return // a sentence is no line that went wrong
	}
	words := strings.Fields(t)
	if len(words) < 2 {
		return
	}
	if words[1] == ":" && len(words) > 2 { // key : value
		words = append(words[:1], words[2:]...)
	}
	name := strings.Trim(words[0], "\"',:`")
	value := strings.Trim(words[1], "\"'`")
	numeric := value != "" && (isDigit(value[0]) || value[0] == '-' && len(value) > 1)
	if looksLikeKey(name) && numeric && p.isNearKey(knob.Key(name)) {
		p.add(stray(knob.Key(name), strings.Join(words[1:], " "), notAssignment))
		return
	}
	if (words[0] == "soft" || words[0] == "hard") && slices.Contains(limitItems, words[1]) {
		p.add(strayLimit(t, noDomain))
	}
}
