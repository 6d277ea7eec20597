package lint

import (
	"strings"
)

// language is what tells the languages of braces apart: how comments and strings are written, and
// what ends a statement.
type language struct {
	hash, slashes, stars bool // comments: #, //, /* */
	ticks                bool // `strings`
	triple               bool // """strings"""
	nix                  bool // ''strings''
	documents            bool // <<EOF
	ends                 bool // blocks are do ... end
	titles               bool // { 'title': name => value }
	lines                bool // a line ends a statement
	templates            bool // {{ }} stands for a value
	code                 bool // names without quotes are those of a program
}

var (
	jsonText   = &language{slashes: true, stars: true, templates: true}
	tomlText   = &language{hash: true, triple: true, lines: true, templates: true}
	nixText    = &language{hash: true, stars: true, nix: true}
	hclText    = &language{hash: true, slashes: true, stars: true, documents: true, lines: true}
	puppetText = &language{hash: true, stars: true, titles: true, documents: true, lines: true}
	rubyText   = &language{hash: true, documents: true, ends: true, lines: true, code: true}
	pythonText = &language{hash: true, triple: true, lines: true, code: true}
	scriptText = &language{slashes: true, stars: true, ticks: true, lines: true, code: true}
)

// token is one of a language of braces. Kinds: w a word, s a string, = what sets, \n, 0 the end,
// and the brackets and separators themselves.
type token struct {
	kind byte
	text word
	row  int
	next bool // no blank stands before it
}

type lexer struct {
	*language
	text   string
	at     int
	row    int
	begins int // of the text, behind the last heredoc of this line; 0 for none
	rows   int // that it takes
	sought int // how many bytes were searched for the ends of heredocs
}

func (l *lexer) token() (t token) {
	from := l.at
	for l.at < len(l.text) && l.text[l.at] != '\n' && l.skipped() {
	}
	t = token{row: l.row, next: from == l.at && from > 0}
	if l.at >= len(l.text) {
		return t
	}
	switch c := l.text[l.at]; {
	case c == '\n':
		l.newline()
		t.kind = '\n'
	case strings.IndexByte("{}[](),;", c) >= 0:
		l.at++
		t.kind = c
	case l.string(&t):
	case l.sets():
		t.kind, t.text.text = '=', l.text[l.at-1:l.at]
	case l.ends && strings.HasPrefix(l.text[l.at:], "%r{"):
		l.regexp()
		t.kind, t.text = 'w', word{"%r", t.row}
	default:
		t.kind, t.text = 'w', word{l.word(), l.row}
		if l.code && l.triple && isPrefix(t.text.text) && l.at < len(l.text) &&
			strings.IndexByte("'\"", l.text[l.at]) >= 0 {
			return l.token()
		}
		if l.code && isDigit(c) { // 65_536
			t.text.text = strings.ReplaceAll(t.text.text, "_", "")
		}
	}
	return t
}

// newline goes to the next line, past the heredocs of this one.
func (l *lexer) newline() {
	l.at, l.row = l.at+1, l.row+1
	if l.begins > 0 {
		l.at, l.row = l.begins, l.row+l.rows
		l.begins, l.rows = 0, 0
	}
}

// skipped takes a blank or a comment.
func (l *lexer) skipped() bool {
	rest := l.text[l.at:]
	switch {
	case strings.IndexByte(blank, rest[0]) >= 0:
		l.at++
	case strings.HasPrefix(rest, "\\\n"):
		l.at, l.row = l.at+2, l.row+1
	case l.hash && rest[0] == '#', l.slashes && strings.HasPrefix(rest, "//"):
		if end := strings.IndexByte(rest, '\n'); end >= 0 {
			l.at += end
		} else {
			l.at = len(l.text)
		}
	case l.ends && strings.HasPrefix(rest, "=begin") && (l.at == 0 || l.text[l.at-1] == '\n'):
		_, after, ok := strings.Cut(rest, "\n=end")
		if !ok {
			after = ""
		}
		l.row += strings.Count(rest[:len(rest)-len(after)], "\n")
		l.at = len(l.text) - len(after)
	case l.stars && strings.HasPrefix(rest, "/*"):
		_, after, ok := strings.Cut(rest[2:], "*/")
		if !ok {
			after = ""
		}
		l.row += strings.Count(rest[:len(rest)-len(after)], "\n")
		l.at = len(l.text) - len(after)
	default:
		return false
	}
	return true
}

// sets takes what stands between a name and its value.
func (l *lexer) sets() bool {
	rest := l.text[l.at:]
	for _, op := range []string{"=>", "+=", "?=", ":=", "=", ":"} {
		after, ok := strings.CutPrefix(rest, op)
		switch {
		case !ok:
			continue
		case op == "=" && strings.HasPrefix(after, "="), op == ":" && l.joins(after):
			return false
		}
		l.at += len(op)
		return true
	}
	return false
}

// joins says whether a colon is part of a word: a::b, :symbol.
func (l *lexer) joins(after string) bool {
	return after != "" && (after[0] == ':' || l.ends && isLetter(after[0]))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func (l *lexer) word() string {
	from := l.at
	for l.at < len(l.text) {
		c := l.text[l.at]
		rest := l.text[l.at+1:]
		switch {
		case c == ':' && strings.HasPrefix(rest, ":"), l.at == from && c == ':':
			l.at += 2
			continue
		case c == '=' && l.at == from, c == '$' && strings.HasPrefix(rest, "{"):
		case strings.IndexByte(" \t\r\n\v\f{}[](),;=:\"'`#", c) >= 0 &&
			!(c == '{' && l.at > from && l.text[l.at-1] == '$'):
			if l.at == from {
				l.at++ // a mark that means nothing in this language
			}
			return l.text[from:l.at]
		}
		if l.at++; c == '{' {
			if end := strings.IndexAny(l.text[l.at:], "}\n"); end >= 0 {
				l.at += end
				if l.text[l.at] == '}' {
					l.at++
				}
			}
		}
	}
	l.at = min(l.at, len(l.text))
	return l.text[from:l.at]
}

// isPrefix says whether a word stands in front of a string of Python: r"", f"".
func isPrefix(word string) bool {
	return len(word) <= 2 && word != "" && strings.Trim(strings.ToLower(word), "rbfu") == ""
}

// regexp takes what Ruby looks for, to its closing brace: it sets nothing.
func (l *lexer) regexp() {
	deep := 0
	for ; l.at < len(l.text) && l.text[l.at] != '\n'; l.at++ {
		switch l.text[l.at] {
		case '\\':
			l.at++
		case '{':
			deep++
		case '}':
			if deep--; deep == 0 {
				l.at++
				return
			}
		}
	}
	l.at = min(l.at, len(l.text))
}

// string takes a string, or a heredoc.
func (l *lexer) string(t *token) bool {
	rest := l.text[l.at:]
	for _, q := range []struct {
		mark string
		on   bool
	}{{`"""`, l.triple}, {"'''", l.triple}, {"''", l.nix}, {`"`, true}, {"'", true},
		{"`", l.ticks}} {
		if q.on && strings.HasPrefix(rest, q.mark) {
			t.kind = 's'
			l.quoted(t, q.mark)
			return true
		}
	}
	if c := rest[0]; c == '`' {
		l.at++
		t.kind = 'w'
		return true
	}
	return l.documents && l.document(t)
}

// quoted takes a string to its end, or to that of the line where it may not go over lines and has
// no end.
func (l *lexer) quoted(t *token, mark string) {
	from := l.at + len(mark)
	i := from
	for i < len(l.text) {
		if strings.HasPrefix(l.text[i:], mark) {
			if mark != "''" || !nixEscape(l.text[i+2:]) {
				break
			}
			i += 2
		} else if l.text[i] == '\\' && mark != "''" {
			i++
		}
		i++
	}
	text := l.text[from:min(i, len(l.text))]
	if i >= len(l.text) && len(mark) == 1 { // no end: a stray mark
		text, _, _ = strings.Cut(text, "\n")
		i = from + len(text) - 1
	}
	l.at = min(i+len(mark), len(l.text))
	t.text = word{text, l.row}
	l.row += strings.Count(text, "\n")
	if mark != "''" && mark != "'''" && !(mark == "'" && l.titles) {
		t.text.text = strings.ReplaceAll(unescapes.Replace(text), `\"`, `"`)
	}
	if first, rest, ok := strings.Cut(t.text.text, "\n"); ok && trim(first) == "" &&
		!strings.HasPrefix(rest, written) {
		t.text = word{rest, t.text.row + 1}
	}
}

// nixEscape says whether what follows ” makes it a part of the string: ”$, ”' and ”\.
func nixEscape(rest string) bool {
	return rest != "" && strings.IndexByte("$'\\", rest[0]) >= 0
}

// document takes <<EOF, <<-EOF and @("EOF"), with the lines that follow this one.
func (l *lexer) document(t *token) bool {
	m := braceDocument.FindStringSubmatch(l.text[l.at:min(len(l.text), l.at+80)])
	if m == nil {
		return false
	}
	start := l.begins
	row := l.row + 1 + l.rows
	if start == 0 {
		end := strings.IndexByte(l.text[l.at:], '\n')
		if end < 0 {
			return false
		}
		start = l.at + end + 1
	}
	at, rows := start, 0
	for at < len(l.text) && l.sought <= 4*len(l.text) {
		line, _, _ := strings.Cut(l.text[at:], "\n")
		next := min(at+len(line)+1, len(l.text))
		l.sought += next - at
		rows++
		if mark := strings.TrimLeft(strings.TrimRight(line, "\r"),
			" \t|-"); mark == m[1]+m[2] {
			t.kind, t.text = 's', word{l.text[start:at], row}
			l.at += len(m[0])
			l.begins, l.rows = next, l.rows+rows
			return true
		}
		at = next
	}
	return false
}
