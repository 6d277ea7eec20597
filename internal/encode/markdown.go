package encode

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Markdown is text in GitHub's flavour of Markdown (GFM, which extends CommonMark 0.31).
type Markdown string

// Prose is text inside a paragraph, a heading, a list item or a table's cell. Marks of GFM that
// would begin an element are escaped with a backslash (CommonMark 2.4). A word that GFM or GitHub
// makes into a link, a mention, a reference or mathematics without any mark becomes a code span,
// where none of these are recognized.
func Prose(s string) Markdown {
	var b strings.Builder
	words := strings.Split(Visible(s), " ")
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if isMagic(word) {
			b.WriteString(string(Code(word)))
			continue
		}
		escapeProse(&b, word)
	}
	return Markdown(b.String())
}

// isMagic says whether a word becomes more than text without a mark: GFM 6.9 (extended autolinks),
// GitHub's mentions (@name), references (#1, GH-1, owner/name#1) and mathematics ($x$).
func isMagic(word string) bool {
	if strings.IndexByte(word, '$') >= 0 || strings.Contains(word, "://") ||
		followed(word, "@", alphanumeric) || followed(word, "#", digit) {
		return true
	}
	if !strings.ContainsAny(word, ".:-") {
		return false
	}
	lower := strings.ToLower(word)
	return strings.Contains(lower, "www.") || strings.Contains(lower, "mailto:") ||
		strings.Contains(lower, "xmpp:") || followed(lower, "gh-", digit)
}

// followed says whether a mark stands somewhere before a character of a kind.
func followed(s, mark string, by func(byte) bool) bool {
	for {
		_, rest, ok := strings.Cut(s, mark)
		if !ok {
			return false
		}
		if rest != "" && by(rest[0]) {
			return true
		}
		s = rest
	}
}

func escapeProse(b *strings.Builder, word string) {
	for i, r := range word {
		if isMark(word, i, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}

// isMark says whether GFM takes a character for more than itself there.
func isMark(word string, i int, r rune) bool {
	next := word[i+utf8.RuneLen(r):]
	switch r {
	case '\\', '`', '*', '<', '>', '[', ']':
		return true
	case '_':
		return !insideWord(word, i)
	case '~': // before a number at the start of a word it ends no strikethrough (GFM 6.5)
		return i > 0 || next == "" || !digit(next[0])
	case '&': // begins an entity (CommonMark 2.5)
		return next != "" && (next[0] == '#' || alphanumeric(next[0]))
	case '#': // ends a heading, or begins one
		return i == 0
	}
	return false
}

// insideWord says that a letter or digit stands on both sides, where "_" does not emphasise
// (CommonMark 6.2).
func insideWord(s string, i int) bool {
	return i > 0 && i+1 < len(s) && alphanumeric(s[i-1]) && alphanumeric(s[i+1])
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// Code is text in a code span, whatever it holds (CommonMark 6.1): the fence is longer than any run
// of backticks in it, and a space keeps a backtick, or a space that would be stripped, apart from
// the fence. Empty text stays empty. A backslash before "|" cannot stand in a code span of a table
// (GFM 4.10), so such text is prose.
func Code(s string) Markdown {
	s = Visible(s)
	switch {
	case s == "":
		return ""
	case strings.Contains(s, `\|`):
		var b strings.Builder
		escapeProse(&b, s)
		return Markdown(b.String())
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	stripped := s[0] == ' ' && s[len(s)-1] == ' ' && strings.Trim(s, " ") != ""
	if len(fence) > 1 || stripped {
		s = " " + s + " "
	}
	return Markdown(fence + s + fence)
}

// longestRun is the length of the longest run of a character.
func longestRun(s string, c byte) (longest int) {
	run := 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// Cell is text of a cell: "|" would end it (GFM 4.10).
func Cell(m Markdown) Markdown { return Markdown(strings.ReplaceAll(string(m), "|", `\|`)) }

// blockStart is what begins a block at the start of a line (CommonMark 4 and 5): a heading, a list,
// a rule.
var blockStart = regexp.MustCompile(`^([#+-]|[0-9]{1,9}[.)])`)

// Block is text at the start of a line, where some characters begin a block.
func Block(m Markdown) Markdown {
	s := strings.TrimSpace(string(m))
	mark := blockStart.FindString(s)
	if mark == "" {
		return Markdown(s)
	}
	last := len(mark) - 1
	return Markdown(s[:last] + `\` + s[last:])
}
