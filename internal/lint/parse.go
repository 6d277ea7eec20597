package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/maxconn/maxconn/internal/knob"
)

// parser collects the settings of one file.
type parser struct {
	role     role
	row      int
	settings []setting
	section  string // of the last [section] line
	here     *document
	looped   int                 // how many settings loops have made
	loops    map[string][]string // the names of sysctls that a loop puts into a variable
	depth    int                 // of commands inside quotes

	tree        int   // bytes of YAML that were parsed
	all         *rows // the lines after this one, nil inside of a command
	sh          *syntax.Parser
	shell       int    // bytes given to it
	failed      int    // those of them that were no statement
	where       string // the command that carries what follows elsewhere
	world       world
	branches    bool // there are lines that may not run
	format      *format
	refers      []Reference
	wrote       map[string]bool // the files that commands write
	included    string          // the file that includes this one, and its line
	includedAt  int
	vars        map[string]string // what variables are set to, "" for more than one value
	hostNet     bool              // a Quadlet unit with Network=host
	accept      bool              // a socket unit that starts a process for each connection
	lang        *language         // of the tree that is read, nil for YAML
	masks       []string          // what templates fill in
	target      string            // the file that what is read will be
	opened      string            // the file that a program opened
	pages       int               // that are read, in which lines may be sentences
	repeated    map[string]bool   // settings that aliases have made
	above       string            // the part of a sysctl's name that the tables around give
	under       string            // the name under which the table stands that is read
	spelled     *spellings
	lines       int          // so far, but for empty ones and comments
	told        map[int]bool // rows of what is only shown
	copied      int          // nodes of tasks, for the items of their loops
	asked       bool         // the environment gives a server its queue
	ofDocker    bool         // a program that runs containers
	chosenLines int          // of a conditional that may still follow
}

// document is an open here-document.
type document struct {
	end     string
	targets []string
}

// deepest is how far commands inside commands are followed: ssh host 'sudo sh -c "echo ..."'.
const deepest = 3

// What is read of a file. A line of 256 KiB holds every list of ports there is; no file that a
// person wrote has as many lines.
const (
	longestLine = 256 << 10
	mostLines   = 200_000 // that are neither empty nor comments
)

var (
	tooLong = Note{NoEffect, "The line is longer than 256 KiB and is not judged.", ""}
	tooMany = Note{NoEffect, "From here on nothing is judged: the file has more than 200,000 " +
		"lines.", ""}
)

// parse finds all settings of a file of a format.
func parse(f *format, all *rows, spelled *spellings) *parser {
	p := &parser{spelled: spelled, format: f}
	text := all.rest
	p.readAll(p.format, all)
	p.finish()
	p.mentions(text)
	return p
}

// finish settles what depends on lines further down.
func (p *parser) finish() {
	if p.format.by == byYAML || p.format.by == byBraces { // what stands together is read first
		slices.SortStableFunc(p.settings, func(a, b setting) int { return a.row - b.row })
	}
	for i := range p.settings {
		s := &p.settings[i]
		if s.key == "MaxConnections" && s.form == asUnit && !p.accept {
			s.flaw = &notAccepting
		}
		s.world.hostNet = s.world.hostNet || p.hostNet && s.world.given
	}
}

// anyText reads a text of which nothing is known: as a tree where it is one, else by the line.
func (p *parser) anyText(all *rows) {
	if f := p.sniffed(all.rest); f != nil {
		p.format = f
		p.readAll(f, all)
		return
	}
	p.read(all, anyRole)
}

var (
	isNginx   = regexp.MustCompile(`(?m)^\s*(?:server|http|events|upstream [\w.-]+|stream)\s*\{`)
	isHAProxy = regexp.MustCompile(
		`(?m)^\s*(?:global|defaults|(?:frontend|backend|listen) \S+)\s*$`)
	isJSON   = regexp.MustCompile(`^\s*[[{]\s*["{[][^\n]*\n(?s:.*)[]}]\s*$`)
	isTuned  = regexp.MustCompile(`(?m)^\[sysctl\]\s*$`)
	isMySQL  = regexp.MustCompile(`(?m)^\[(?:mysqld|mariadb|server)[\w.-]*\]\s*$`)
	treeLine = regexp.MustCompile(`^\s*(?:- |-$|(?:- )?["']?[\w./{}$-]+["']?:(?: |$)|[]}],?$)`)
)

// sniffed is a format that a text without a name for it has.
func (p *parser) sniffed(text string) *format {
	switch {
	case strings.Contains(text, "{") && isNginx.MatchString(text):
		return formatTagged("nginx")
	case strings.Contains(text, "bind ") && isHAProxy.MatchString(text):
		return formatTagged("haproxy")
	case strings.Contains(text, `"`) && isJSON.MatchString(text):
		return formatTagged("json")
	case !strings.Contains(text, "["):
	case isTuned.MatchString(text):
		return formatTagged("tuned")
	case isMySQL.MatchString(text):
		return formatTagged("mysql")
	}
	found := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if t := trim(line); t == "" || isComment(t) {
			continue
		}
		if found = treeLine.MatchString(line); !found {
			return nil
		}
	}
	if !found {
		return nil
	}
	return formatTagged("yaml")
}

// read takes all lines of a text.
func (p *parser) read(all *rows, r role) {
	p.all, p.role, p.here = all, r, nil
	for all.more() && len(p.settings) <= mostSettings {
		text := all.next()
		p.row = all.n
		if p.continues(text) {
			text = whole(text, all)
		}
		if len(text) > longestLine {
			p.add(stray("", "", tooLong))
			continue
		}
		p.line(text)
		switch {
		case p.lines > mostLines:
			p.add(stray("", "", tooMany))
			return
		case p.shell > mostShell:
			p.add(stray("", "", tooMuchShell))
			return
		}
	}
}

// whole is a line with those that continue it, and marks in between.
func whole(text string, all *rows) string {
	var b strings.Builder
	empty := true // so far; a mark of comments then makes a comment of the whole
	for strings.HasSuffix(text, `\`) && all.more() && !(empty && isComment(text)) {
		part := strings.TrimSuffix(text, `\`)
		empty = empty && trim(part) == ""
		if b.Len() <= longestLine {
			b.WriteString(part + folded)
		}
		text = trim(all.next())
	}
	return b.String() + text
}

// flat is a line with those that continue it as one line, script is the same as a shell has it.
func flat(text string) string     { return trim(strings.ReplaceAll(text, folded, " ")) }
func asScript(text string) string { return strings.ReplaceAll(text, folded, "\\\n") }

// continues says whether the next line belongs to this one. In sysctl.d none does: a backslash is
// part of the value
// there (measured with systemd 252 and procps 4.0.2).
func (p *parser) continues(text string) bool {
	return !oneOfRoles(p.role, sysctlRole, limitsRole, moduleRole, tunedRole) &&
		p.here == nil && strings.HasSuffix(text, `\`) && !isComment(trim(text))
}

func (p *parser) line(text string) {
	if p.here != nil {
		p.hereLine(text)
		return
	}
	p.as(p.role, text)
}

// as reads a line as a file of this role would be read.
func (p *parser) as(r role, text string) {
	text = p.chosen(text)
	t := flat(text)
	if t == "" || isComment(t) {
		return
	}
	if p.lines++; isControl(t) || strings.Contains(t, "{%") {
		p.branches = true
		text = control.ReplaceAllString(erb.ReplaceAllString(text, ""), "")
		if t = flat(text); t == "" || isComment(t) || isControl(t) {
			return
		}
	}
	switch r {
	case sysctlRole:
		p.confLine(t)
	case limitsRole:
		p.limitsFile(t)
	case unitRole:
		p.unitLine(text)
	case moduleRole:
		p.moduleLine(t)
	case tunedRole:
		p.tunedLine(t)
	case cronRole:
		p.statement(asScript(cronTime.ReplaceAllString(trim(text), "")))
	case superviseRole:
		p.superviseLine(t)
	case upstartRole:
		p.upstartLine(t, text)
	case makeRole:
		if strings.HasPrefix(text, "\t") {
			p.statement(asScript(strings.TrimLeft(trim(text), "@-+")))
		}
	case procfileRole:
		if _, command, ok := strings.Cut(trim(text), ":"); ok {
			p.statement(asScript(trim(command)))
		}
	default:
		p.anyLine(trim(text))
	}
}

func isComment(t string) bool { return strings.HasPrefix(t, "#") || strings.HasPrefix(t, ";") }

func (p *parser) add(s setting) {
	if len(p.settings) > mostSettings {
		return // parse says so
	}
	s.row, s.where, s.world = p.row, p.where, p.world
	s.key, s.value, s.subject = p.unmasked(s.key), p.unmasked(s.value), p.unmasked(s.subject)
	if s.alias {
		at := fmt.Sprint(s.row, s.form, s.key, s.value, s.subject, s.world)
		if p.repeated[at] {
			return
		}
		if p.repeated == nil {
			p.repeated = map[string]bool{}
		}
		p.repeated[at] = true
	}
	p.settings = append(p.settings, s)
}

// into runs a step whose settings are written into another file.
func (p *parser) into(target string, step func()) {
	first := len(p.settings)
	if p.wrote == nil {
		p.wrote = map[string]bool{}
	}
	p.wrote[target] = true
	step()
	for i := first; i < len(p.settings); i++ {
		p.settings[i].target = p.unmasked(target)
	}
}

// hereLine is a line of a here-document: it is read as the file is that it goes to.
func (p *parser) hereLine(text string) {
	if trim(text) == p.here.end {
		p.here = nil
		return
	}
	p.content(p.here.targets, word{text, p.row})
}

// content is text that goes to files, or to a command where there is none.
func (p *parser) content(targets []string, w word) {
	if len(targets) == 0 {
		if f := p.sniffed(w.String()); f != nil && f.apart {
			p.readAs(f, w)
		} else {
			p.nested(w)
		}
		return
	}
	for _, t := range targets {
		if t == "/dev/null" {
			p.tells(w)
			continue
		}
		if isKernelFile(t) || t == toSysctl {
			for row, line := range w.lines() {
				p.row = row
				p.write(t, line)
			}
			continue
		}
		if t == toTree {
			p.readAs(formatTagged("yaml"), w)
			continue
		}
		if t == toShell {
			p.nested(w)
			continue
		}
		p.into(t, func() { p.fileText(t, w) })
	}
}

// fileText reads the text of another file.
func (p *parser) fileText(name string, w word) {
	f := formatOf(name, w.text)
	if f == anything || f.role == rcLocalRole {
		f = shellText
	}
	p.readAs(f, w)
}

// readAs reads a string as a text of a format.
func (p *parser) readAs(f *format, w word) {
	section, sh := p.section, p.format
	p.inside(w, func() {
		p.section = ""
		if oneOfRoles(f.role, sysctlRole, limitsRole, moduleRole, tunedRole) {
			p.role = f.role
			for row, line := range w.lines() {
				p.goTo(row)
				p.as(f.role, line)
			}
			return
		}
		text := asScript(strings.ReplaceAll(w.text, written, ""))
		if f.apart || f.role == anyRole {
			text = noMarks.Replace(text)
		}
		p.readAll(f, &rows{rest: text, n: w.row - 1})
	})
	p.section, p.format = section, sh
}

var (
	section = regexp.MustCompile(`^\[[A-Za-z0-9 _.-]+\]$`)
	prompt  = regexp.MustCompile(`^(?:\[?[A-Za-z0-9_.-]+@[^ #$\]]*` +
		`(?: [^#$\]]*)?\]?\s*[#$]|[$>%])\s+`)
	bullet   = regexp.MustCompile(`^(?:[0-9]+[.)]|[*+\x{2022}-])\s+`)
	backtick = regexp.MustCompile("^`+([^`]+)`+[.,;:]?$")
)

// anyLine looks for every form.
func (p *parser) anyLine(text string) {
	t := flat(text)
	if t[0] == '[' && section.MatchString(t) {
		p.section = strings.Trim(t, "[]")
		return
	}
	first := len(p.settings)
	if p.plain(t) {
		return
	}
	p.branches = p.branches || branch.MatchString(t)
	if bare := undressed(text); bare != text {
		text, t = bare, flat(bare)
		if p.plain(t) {
			return
		}
	}
	p.statement(asScript(text))
	if len(p.settings) == first && p.here == nil {
		p.stray(t)
	}
}

// plain takes a line of a file that is read as it stands.
func (p *parser) plain(t string) bool {
	return p.limitsLine(t) || p.unitItem(t) || p.assignment(t) || p.moduleOption(t) ||
		p.mapped(t)
}

var flow = regexp.MustCompile(`^(?:- )?[\w."'/-]*:?\s*[[{].*[]}],?$`)

// mapped takes a line of YAML: net.core.somaxconn: 1024, or sysctls: {net.core.somaxconn: 1024}.
func (p *parser) mapped(t string) bool {
	name, value, ok := strings.Cut(t, ":")
	name = strings.Trim(trim(strings.TrimPrefix(name, "- ")), `"'`)
	if ok && looksLikeKey(name) && knob.Find(knob.Key(name)) != nil && isValue(trim(value)) {
		p.add(setting{form: asConf, key: knob.Key(name), value: bareWord(value)})
		return true
	}
	if !flow.MatchString(t) || len(t) > longestStatement {
		return false
	}
	first := len(p.settings)
	p.bracesIn(word{t, p.row}, jsonText)
	return len(p.settings) > first
}

// isValue says whether a text is nothing but numbers, or is made by a template.
func isValue(text string) bool {
	text = bareWord(text)
	return text != "" && (variable(text) || strings.Trim(text, "0123456789- \t") == "")
}

// branch is a line that begins something that may not run, or not in this order: then no line
// overrides another.
var branch = regexp.MustCompile(`^(if|case|for|while|until|else|elif|function|select)\b|` +
	`\{\s*$|^[A-Za-z_][A-Za-z0-9_-]*\s*\(\)`)

// undressed takes off what answers put around a command: a shell's prompt, a list's mark,
// backticks.
func undressed(t string) string {
	t = prompt.ReplaceAllString(t, "")
	rest := bullet.ReplaceAllString(t, "")
	if rest != t && !looksLikeKey(strings.TrimPrefix(t, "-")) {
		t = rest
	}
	return trim(backtick.ReplaceAllString(t, "$1"))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNearKey says whether a name is that of a setting, or nearly.
func (p *parser) isNearKey(key string) bool {
	return knob.Find(key) != nil || len(p.spelled.nearest(key)) > 0
}
