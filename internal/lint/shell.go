package lint

import (
	"io"
	"iter"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Marks in the text of words, so that rows can be counted. No file with NUL bytes is read.
const (
	folded  = "\x00c" // a newline that the shell takes out (a backslash stood before it)
	written = "\x00b" // the newline in front is none of the file, but was written as \n
)

var noMarks = strings.NewReplacer(folded, "", written, "")

// word is a word without its quotes. Expansions stand as they are written.
type word struct {
	text string
	row  int // where it begins
}

func (w word) String() string {
	if strings.IndexByte(w.text, 0) < 0 {
		return w.text // as most are, without the cost of a replacer
	}
	return noMarks.Replace(w.text)
}

// lines are those of a string over several, with their rows.
func (w word) lines() iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		row := w.row
		for line := range strings.Lines(w.text) {
			for mark := ""; len(line) > 1 && line[0] == written[0]; {
				if mark, line = line[:2], line[2:]; mark == written {
					row--
				} else {
					row++
				}
			}
			if !yield(row, strings.TrimRight(noMarks.Replace(line), "\n")) {
				return
			}
			row += strings.Count(line, folded) + 1
		}
	}
}

func texts(words []word) (out []string) {
	for _, w := range words {
		out = append(out, w.String())
	}
	return out
}

// What is given to the parser of package syntax. It is linear, and recursive in what is nested:
// 256 KiB of "a[" take half a gigabyte of stack (measured with v3.14).
const (
	longestStatement = 64 << 10
	deepestNest      = 100
	mostFailed       = 1 << 20 // bytes of lines that begin no statement; then each line is one
	mostShell        = 2 << 20 // bytes of a file
)

var (
	tooNested = Note{NoEffect, "The line is nested too deeply, or longer than 64 KiB, " +
		"and is not judged.", ""}
	tooMuchShell = Note{NoEffect,
		"From here on nothing is judged: the file has more than 2 MiB of commands.", ""}
)

// source gives the parser a line at a time, so that no more is taken than a statement needs.
type source struct {
	text  []byte
	given int
	next  *rows // the lines after the first, nil for none
	mask  func(string) string
	nest  int
	deep  bool // more is nested, or longer, than is read
}

func (s *source) Read(b []byte) (int, error) {
	if s.given == len(s.text) {
		if s.next == nil || !s.next.more() || !s.add(s.next.next()) {
			return 0, io.EOF
		}
	}
	n := copy(b, s.text[s.given:])
	s.given += n
	return n, nil
}

// add takes a line, unless that nests too deeply or makes too much of it.
func (s *source) add(line string) bool {
	line = s.mask(line)
	for i := range len(line) {
		switch line[i] {
		case '(', '[', '{':
			s.nest++
			s.deep = s.deep || s.nest > deepestNest
		case ')', ']', '}':
			s.nest = max(s.nest-1, 0)
		}
	}
	s.deep = s.deep || len(s.text)+len(line) > longestStatement
	if !s.deep {
		s.text = append(s.text, line...)
		if s.next != nil {
			s.text = append(s.text, '\n')
		}
	}
	return !s.deep
}

// script is shell text as the parser gave it, with what is needed to read it.
type script struct {
	*parser
	text  []byte
	first int            // the row of the first line
	open  bool           // the lines of a here-document are still to come
	inner []*syntax.Stmt // of $( ) in words
	// how many $( ) and branches are around what is read
	captured, inBranch int
}

// parsed takes the statements that begin in a line. They may go on over the lines of next, which
// then are taken as well. With missing, as many words may be missing that end statements.
// ok says that all of the line is statements.
func (p *parser) parsed(line string, next *rows, missing int) (ok bool) {
	from := &source{next: next, mask: p.shellMasked}
	if !from.add(line) {
		p.add(stray("", "", tooNested))
		return true
	}
	if p.sh == nil {
		p.sh = syntax.NewParser()
	}
	syntax.RecoverErrors(missing)(p.sh)
	list, ok := p.list(from)
	p.shell += len(from.text)
	if !ok {
		p.shell += len(from.text) // it will be read again
		return false
	}
	s := &script{parser: p, text: from.text, first: p.row, open: next == nil}
	if next != nil && s.astray(list) {
		return false
	}
	s.stmts(list, nil)
	return true
}

// list parses the statements of a line, and of as many as they need. The loops run to their
// end: after an error the sequences of package syntax go on even where they are told to
// stop (v3.14).
func (p *parser) list(from *source) (list []*syntax.Stmt, ok bool) {
	if from.next == nil {
		ok = true
		for st, err := range p.sh.StmtsSeq(from) {
			ok = ok && err == nil
			list = append(list, st)
		}
		return list, ok
	}
	done := false
	for some, err := range p.sh.InteractiveSeq(from) {
		if !done && (err != nil || !p.sh.Incomplete()) {
			done, ok, list = true, err == nil, slices.Clone(some)
			from.next = nil // no line is read that is not needed
		}
	}
	return list, ok
}

// statement takes the statement that begins in a line, with the lines that it goes on over. Where
// that is none, the line is taken by itself.
func (p *parser) statement(line string) {
	if p.all != nil && p.failed < mostFailed {
		start, shell := *p.all, p.shell
		if p.parsed(line, p.all, 0) {
			return
		}
		*p.all = start
		p.failed += p.shell - shell
	}
	p.fragment(line)
}

func (w word) isLong() bool { return strings.Contains(w.text, "\n") }

// astray says whether a string goes on over lines behind a word that takes none: then the quote is
// an apostrophe of prose.
func (s *script) astray(list []*syntax.Stmt) bool {
	for _, st := range list {
		call, ok := st.Cmd.(*syntax.CallExpr)
		if !ok {
			continue
		}
		words := unwrapped(s.words(call.Args))
		over := slices.ContainsFunc(words, word.isLong)
		if !over {
			continue
		}
		name := path.Base(words[0].text)
		tells := s.role == shellRole && message.MatchString(name)
		if !tells && !slices.Contains(quoting, name) {
			return true
		}
	}
	s.inner = nil
	return false
}

// quoting are commands whose arguments go over several lines.
var quoting = append([]string{":", "echo", "printf", "sh", "bash", "dash", "su", "eval", "sed",
	"awk", "perl", "python", "python3", "sysctl", "tee", "grep", "[", "test", "crontab"},
	carriers...)

var (
	// leftover is what is left in front of a line of a longer statement.
	leftover = regexp.MustCompile(`^(?:(?:then|else|elif|do|done|fi|esac|in|;;|[})!])` +
		`(?:[ \t;]+|$))+`)
	hereMark = regexp.MustCompile(`<<-?[ \t]*["'\\]?([A-Za-z0-9_.-]+)`)
)

// fragment takes a line that is no statement: part of one, or a command in other text. Strings
// that are open end with the line. What even so is none is taken in pieces.
func (p *parser) fragment(line string) {
	line = leftover.ReplaceAllString(line, "")
	end := ""
	if m := hereMark.FindStringSubmatch(line); m != nil {
		end = "\n" + m[1]
	}
	if p.parsed(line+end, nil, deepestNest) {
		return
	}
	for piece := range strings.FieldsFuncSeq(line, isSeparator) {
		piece = leftover.ReplaceAllString(trim(piece), "")
		if !p.parsed(piece, nil, 0) {
			p.parsed(noQuotes.Replace(piece), nil, 0)
		}
	}
}

func isSeparator(r rune) bool { return strings.ContainsRune(";|&()", r) }

var noQuotes = strings.NewReplacer(`"`, "", "'", "", "`", "")

// raw is the text of a node; one that the parser put in has none.
func (s *script) raw(n syntax.Node) string {
	from, to := n.Pos(), n.End()
	if from.IsRecovered() || to.IsRecovered() {
		return ""
	}
	end := min(to.Offset(), uint(len(s.text)))
	return string(s.text[min(from.Offset(), end):end])
}

// rowOf is the row of a position.
func (s *script) rowOf(at syntax.Pos) int {

	return s.first + max(int(at.Line()), 1) - 1
}

func (s *script) words(all []*syntax.Word) (out []word) {
	for _, w := range all {
		out = append(out, s.word(w))
	}
	return out
}

func (s *script) word(w *syntax.Word) word {
	var b strings.Builder
	s.parts(&b, w.Parts, false)
	return word{b.String(), s.rowOf(w.Pos())}
}

// parts takes the quotes off. What stands in $( ) is kept for later.
func (s *script) parts(b *strings.Builder, parts []syntax.WordPart, quoted bool) {
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			unescape(b, s.raw(part), quoted)
			continue
		case *syntax.SglQuoted:
			b.WriteString(s.single(part))
			continue
		case *syntax.DblQuoted:
			s.parts(b, part.Parts, true)
			continue
		case *syntax.CmdSubst:
			if !part.Backquotes { // in prose they are marks of code
				s.inner = append(s.inner, part.Stmts...)
			}
		case *syntax.ProcSubst:
			s.inner = append(s.inner, part.Stmts...)
		case *syntax.ParamExp:
			if value := s.vars[plainName(part)]; value != "" {
				b.WriteString(value)
				continue
			}
		}
		b.WriteString(s.raw(part))
	}
}

// plainName is the variable of $a and ${a}, "" where more is done with it.
func plainName(e *syntax.ParamExp) string {
	if e.Param == nil || e.Excl || e.Length || e.Width || e.Index != nil || e.Slice != nil ||
		e.Repl != nil || e.Exp != nil {
		return ""
	}
	return e.Param.Value
}

// single is a string in single quotes, which may be open.
func (s *script) single(q *syntax.SglQuoted) string {
	if q.Right.IsRecovered() {
		return string(s.text[q.Left.Offset()+1:])
	}
	return q.Value
}

// unescape takes backslashes off, in double quotes those before a few characters only.
func unescape(b *strings.Builder, raw string, quoted bool) {
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 == len(raw) && quoted { // the newline is no part of it
			b.WriteString(folded)
			continue
		}
		if raw[i] == '\\' && i+1 < len(raw) {
			switch next := raw[i+1]; {
			case next == '\n':
				b.WriteString(folded)
				i++
				continue
			case !quoted || strings.IndexByte("\"\\$`", next) >= 0:
				i++
			}
		}
		b.WriteByte(raw[i])
	}
}
