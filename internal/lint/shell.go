package lint

import "strings"

// command is one simple command of a shell line: its words without quotes, the files it writes to, and the end mark
// of a here-document that feeds it, or the string that does.
type command struct {
	words []string
	out   []string
	here  string
	feed  string // what "<<<" gives it to read
}

// pipeline is commands joined by "|".
type pipeline []command

// shellLine splits a line as sh does, as far as settings need it: quotes, backslashes, comments, ";", "&&", "||", "|" and
// redirections. It never fails: an open quote ends with the line.
func shellLine(text string) []pipeline {
	l := &lexer{text: text}
	for l.i < len(l.text) {
		l.step()
	}
	l.endPipeline()
	return l.done
}

// lexer walks over one line.
type lexer struct {
	text  string
	i     int
	done  []pipeline
	pipe  pipeline
	cmd   command
	word  strings.Builder
	paren bool   // the word has a "("
	open  bool   // inside a word, perhaps an empty one in quotes
	into  string // what the next word is: "" a word, ">" a file, "<<" an end mark
}

func (l *lexer) step() {
	c := l.text[l.i]
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		l.endWord()
		l.i++
	case c == '#' && !l.open:
		l.i = len(l.text)
	case c == '\'' || c == '"':
		l.quoted(c)
	case c == '\\' && l.i+1 < len(l.text):
		l.add(l.text[l.i+1])
		l.i += 2
	case c == '>' || c == '<':
		l.redirect(c)
	case c == '|' && !strings.HasPrefix(l.text[l.i:], "||"):
		l.endCommand()
		l.i++
	case c == ';' || c == '|' || c == '&':
		l.endPipeline()
		l.i += len(l.text[l.i:]) - len(strings.TrimLeft(l.text[l.i:], ";|&"))
	case c == '(' && !l.open, c == ')' && !l.paren:
		l.endPipeline()
		l.i++
	default:
		l.add(c)
		l.i++
	}
}

func (l *lexer) add(c byte) {
	l.open, l.paren = true, l.paren || c == '('
	l.word.WriteByte(c)
}

// quoted takes a string in quotes; a backslash counts in double ones only, and there only before a few characters.
func (l *lexer) quoted(quote byte) {
	l.open = true
	for l.i++; l.i < len(l.text); l.i++ {
		c := l.text[l.i]
		if c == quote {
			l.i++
			return
		}
		if c == '\\' && quote == '"' && l.i+1 < len(l.text) && strings.IndexByte("\"\\$`", l.text[l.i+1]) >= 0 {
			l.i++
			c = l.text[l.i]
		}
		l.paren = l.paren || c == '('
		l.word.WriteByte(c)
	}
}

// redirect takes ">", ">>", ">|", "2>", "<", "<<" and "<<-"; what follows is the file or the end mark.
func (l *lexer) redirect(c byte) {
	rest := l.text[l.i:]
	number := l.open && strings.Trim(l.word.String(), "0123456789") == ""
	if number {
		l.word.Reset()
		l.open, l.paren = false, false
	}
	l.endWord()
	mark := rest[:len(rest)-len(strings.TrimLeft(rest, "<>|&-"))]
	l.i += len(mark)
	if strings.HasSuffix(mark, "&") { // 2>&1: no file
		l.into = "<"
		return
	}
	switch {
	case strings.HasPrefix(mark, "<<<"):
		l.into = "<<<"
	case strings.HasPrefix(mark, "<<"):
		l.into = "<<"
	default:
		l.into = string(c)
	}
}

func (l *lexer) endWord() {
	if !l.open {
		return
	}
	w := l.word.String()
	l.word.Reset()
	l.open, l.paren = false, false
	switch l.into {
	case ">":
		l.cmd.out = append(l.cmd.out, w)
	case "<<":
		l.cmd.here = w
	case "<<<":
		l.cmd.feed = w
	case "<":
	default:
		l.cmd.words = append(l.cmd.words, w)
	}
	l.into = ""
}

func (l *lexer) endCommand() {
	l.endWord()
	l.into = ""
	if len(l.cmd.words) > 0 || len(l.cmd.out) > 0 || l.cmd.here != "" {
		l.pipe = append(l.pipe, l.cmd)
	}
	l.cmd = command{}
}

func (l *lexer) endPipeline() {
	l.endCommand()
	if len(l.pipe) > 0 {
		l.done = append(l.done, l.pipe)
	}
	l.pipe = nil
}
