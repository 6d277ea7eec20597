package lint

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/maxconn/maxconn/internal/knob"
)

// mentions notes where a text names a setting about connections, a number behind it, and no reader
// took that for a setting: in a form that lint does not know it would be skipped silently.
func (p *parser) mentions(text string) {
	if p.format.by == byNone || oneOfRoles(p.format.role, sysctlRole, limitsRole, moduleRole) {
		return // nothing of it is read, or every line is
	}
	m := &mentions{parser: p, taken: map[mention]bool{}}
	for _, s := range p.settings {
		m.taken[mention{s.row, mentionedAs(s.key)}] = true
	}
	for all := (&rows{rest: text}); all.more() && len(p.refers) < mostReferred; {
		was := all.rest
		if line := all.next(); len(line) <= longestLine {
			m.line(line, was[min(len(line)+1, len(was)):], all.n)
		}
	}
}

// mention is a setting in a row.
type mention struct {
	row  int
	name string
}

type mentions struct {
	*parser
	taken   map[mention]bool
	comment string // what ends the comment that is open
}

// mentionedAs is the same for the ways in which a setting is called.
func mentionedAs(name string) string {
	if strings.Contains(strings.ToLower(name), "nofile") || name == "ulimit -n" {
		return "nofile"
	}
	if !strings.ContainsAny(name, "./") { // gunicorn --backlog
		name = name[strings.LastIndexByte(name, ' ')+1:]
		return strings.ReplaceAll(strings.TrimLeft(name, "-"), "-", "_")
	}
	return knob.Main(name)
}

// remarks begin lines that set nothing.
var remarks = []string{"#", "//", ";", "--", "<!--", "/*", "rem ", "REM ", "dnl "}

// endOfLine begin a comment in a line, or what Ruby looks for.
var endOfLine = []string{" #", "\t#", " //", "%r{"}

// blocks are the marks around comments over several lines.
var blocks = []struct{ from, to string }{{"/*", "*/"}, {"<!--", "-->"}}

func (m *mentions) line(line, next string, row int) {
	t := trim(line)
	if m.comment != "" {
		if strings.Contains(t, m.comment) {
			m.comment = ""
		}
		return
	}
	stars := m.format.lang != nil && m.format.lang.stars
	for _, b := range blocks {
		if rest, ok := strings.CutPrefix(t, b.from); ok && !strings.Contains(rest, b.to) &&
			(stars || b.from != "/*") {
			m.comment = b.to
		}
	}
	if stars && strings.HasPrefix(t, "* ") {
		return
	}
	for _, mark := range remarks {
		if strings.HasPrefix(t, mark) {
			return
		}
	}
	if m.isSaidIn(t) {
		return
	}
	for _, mark := range endOfLine {
		line, _, _ = strings.Cut(line, mark)
	}
	runtime := ""
	if strings.Contains(line, "max_connections") {
		runtime = isSQL.FindString(line)
	}
	for i := 0; i < len(line); {
		if !isNameByte(line[i]) {
			i++
			continue
		}
		from := i
		for i < len(line) && isNameByte(line[i]) {
			i++
		}
		name := mentioned(line[from:i])
		if runtime != "" && strings.HasSuffix(runtime, line[from:i]) {
			name = line[from:i]
		}
		if name != "" && !m.told[row] {
			m.behind(name, line[i:], next, row)
		}
	}
}

// isSQL is where a statement sets it: SET GLOBAL max_connections = 500.
var isSQL = regexp.MustCompile(
	`(?i)\b(?:set\s+(?:global|persist)|alter\s+system\s+set)\s+max_connections`)

// isSaidIn says whether a line of a page, or of a text of which nothing is known, is a sentence.
func (m *mentions) isSaidIn(t string) bool {
	switch m.format.by {
	case byMarkdown, byMarks, byHTML, bySniffing:
		n := 0
		for w := range strings.FieldsFuncSeq(t, func(r rune) bool {
			return r == '<' || r == '>' || unicode.IsSpace(r)
		}) {
			if w = strings.TrimRight(w, ",.:;"); len(w) > 1 && strings.IndexFunc(w,
				func(r rune) bool { return !unicode.IsLetter(r) }) < 0 {
				n++
			}
		}
		return n > 2
	}
	return false
}

func isNameByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '.' || c == '/' || c == '-'
}

// mentioned is the name of a setting about connections that a word is, "" for none.
func mentioned(word string) string {
	if mentionWords[word] {
		return word
	}
	switch word = strings.Trim(word, ".-"); {
	case len(word) < len("nofile") || len(word) > longestName:
		return ""
	case mentionWords[word]:
		return word
	case !strings.ContainsAny(word, "./"):
		return ""
	}
	key := knob.Key(strings.TrimPrefix(word, knob.Dir))
	for range 3 { // boot.kernel.sysctl.net.core.somaxconn
		if r := ruleOf(key); r != nil && !r.Aside && isTCP(key) {
			return key
		}
		_, key, _ = strings.Cut(key, ".")
	}
	return ""
}

// mentionWords are names of other settings that stand for nothing else.
var mentionWords = set("nofile LimitNOFILE DefaultLimitNOFILE worker_connections " +
	"worker_rlimit_nofile worker-connections max-worker-connections worker-rlimit-nofile " +
	"tcp-backlog maxclients ListenBacklog MaxRequestWorkers --backlog " +
	"--worker-connections --limit-concurrency --max-connections --max_connections")

// valueBehind is what stands between a name and the number that it is set to; valueBelow is so for
// one that stands in the next line.
var (
	valueBehind = regexp.MustCompile(`^(?:[^\w\n<!]{0,12}|[^\w\n<!]{1,6}(?:to|at)[^\w\n<!]{1,6}|` +
		`[^\w\n<!]{1,12}(?:value|val)[^\w\n<!]{1,12})` +
		`(-?[0-9]+)(?:[^\w.>-]|$)`)
	valueBelow = regexp.MustCompile(
		`^[^\w\n<!]{0,4}\n[ \t"']*(?:value|val)["']?[ \t]*[:=][=>]?[ \t"']*([0-9]+)\b`)
)

// behind notes a name with the number that follows it.
func (m *mentions) behind(name, rest, next string, row int) {
	rest, next = rest[:min(len(rest), longestName)], next[:min(len(next), longestName)]
	found, rows := valueBehind.FindStringSubmatch(rest), 0
	if found == nil || strings.Contains(found[0], "==") {
		found, rows = valueBelow.FindStringSubmatch(rest+"\n"+next), 1
	}
	if found == nil {
		return
	}
	for r := row; r <= row+rows; r++ {
		if m.taken[mention{r, mentionedAs(name)}] {
			return
		}
	}
	m.taken[mention{row, mentionedAs(name)}] = true // it is said once
	m.refer(Reference{Line: row, What: name + " with " + found[1] + ", in a form that lint " +
		"does not know", Mention: name})
}

// tells notes that a text is only shown or looked for, and sets nothing.
func (p *parser) tells(all ...word) {
	if p.told == nil {
		p.told = map[int]bool{}
	}
	for _, w := range all {
		for row := range w.lines() {
			p.told[row] = true
		}
	}
}

func (p *parser) tellsNode(n *node) {
	if n.kind == scalar {
		p.tells(n.text)
	}
	for i, item := range n.items {
		if n.kind == table {
			p.tells(n.keys[i].text)
		}
		p.tellsNode(item)
	}
}
