package lint

import (
	"bytes"
	"regexp"
	"sort"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/maxconn/maxconn/internal/knob"
)

// page is a text that people read: what it sets stands in its code, its tables, and in lines that
// are nothing else.
type page struct {
	*parser
	source []byte
	starts []int  // of the lines
	header []word // of the table
	first  int
}

// markdown reads what CommonMark calls code, the rows of tables, and lines by themselves.
func (p *parser) markdown(all *rows) {
	source := withoutFront(all.rest)
	if at := strings.Index(source, strings.TrimLeft(source, "\n")); at > 0 {
		p.tells(word{source[:at], all.n + 1})
	}
	cut := len(source) > largestPage
	if cut {
		source = source[:strings.LastIndexByte(source[:largestPage], '\n')+1]
	}
	t := &page{parser: p, source: []byte(source), first: all.n + 1}
	t.starts = []int{0}
	for i, c := range t.source {
		if c == '\n' {
			t.starts = append(t.starts, i+1)
		}
	}
	all.rest = ""
	md := goldmark.New(goldmark.WithExtensions(extension.Table))
	root := md.Parser().Parse(text.NewReader(plainer(t.source)))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		return t.visit(n), nil
	})
	if cut {
		p.goTo(t.rowAt(len(source)))
		p.add(stray("", "", tooLargePage))
	}
}

// What goldmark takes the square of (v1.8): links that do not end, emphasis, and what is nested. No
// page that a person wrote has as much of them.
const (
	largestPage    = 512 << 10
	longestPassage = 8 << 10  // without an empty line, in which there may be links
	longestStarred = 32 << 10 // and in which there may be emphasis
	deepestQuote   = 20
)

var tooLargePage = Note{NoEffect, "From here on nothing is judged: the file has more than " +
	"512 KiB of Markdown.", ""}

// plainer blanks the marks of links and of emphasis in long passages, and marks that nest too
// deeply. Offsets stay as they are.
func plainer(source []byte) []byte {
	out := bytes.Clone(source)
	for from := 0; from < len(out); {
		end := bytes.Index(out[from:], []byte("\n\n"))
		if end < 0 {
			end = len(out) - from
		}
		if passage := out[from : from+end]; len(passage) > longestStarred {
			blanked(passage, "[]*<")
		} else if len(passage) > longestPassage {
			blanked(passage, "[]")
		}
		from += end + 2
	}
	for line := range bytes.Lines(out) {
		marks := line[:len(line)-len(bytes.TrimLeft(line, "> \t-+*"))]
		if len(bytes.Fields(marks)) > deepestQuote || bytes.Count(marks,
			[]byte(">")) > deepestQuote {
			blanked(marks, ">-+*")
		}
	}
	return out
}

// blanked takes marks out of a text, but for a star that begins a line and has a blank behind it.
func blanked(text []byte, marks string) {
	first := true
	for i, c := range text {
		isItem := first && c == '*' && i+1 < len(text) && text[i+1] == ' '
		if strings.IndexByte(marks, c) >= 0 && !isItem {
			text[i] = ' '
		}
		first = c == '\n' || first && (c == ' ' || c == '\t')
	}
}

// withoutFront blanks the lines between --- at the beginning, which are about the page.
func withoutFront(s string) string {
	if !strings.HasPrefix(s, "---\n") {
		return s
	}
	front, rest, ok := strings.Cut(s[4:], "\n---")
	if !ok {
		return s
	}
	return strings.Repeat("\n", strings.Count(front, "\n")+2) + strings.TrimLeft(rest, "-")
}

func (t *page) visit(n ast.Node) ast.WalkStatus {
	switch n := n.(type) {
	case *ast.FencedCodeBlock:
		t.code(n, string(n.Language(t.source)))
	case *ast.CodeBlock:
		t.code(n, "")
	case *ast.HTMLBlock:
		t.htmlBlock(n)
	case *tables.TableRow:
		t.cells(t.cellsOf(n), t.header)
	case *tables.TableHeader:
		t.header = t.cellsOf(n)
	case *ast.Heading:
	case *ast.Paragraph, *ast.TextBlock:
		t.lines(n)
	default:
		return ast.WalkContinue
	}
	return ast.WalkSkipChildren
}

// rowAt is the row of a place in the source.
func (t *page) rowAt(offset int) int {
	return t.first + sort.SearchInts(t.starts, offset+1) - 1
}

// code reads a block of code as what it is said to be.
func (t *page) code(n ast.Node, language string) {
	lines := n.Lines()
	if lines.Len() == 0 {
		return
	}
	w := word{string(lines.Value(t.source)), t.rowAt(lines.At(0).Start)}
	language, _, _ = strings.Cut(strings.Trim(language, "{}. "), ",")
	t.inLanguage(language, w)
}

// inLanguage reads text in a language that a page names. In sessions of a shell only the lines
// with a
// prompt are typed.
func (p *parser) inLanguage(language string, w word) {
	f := formatTagged(language)
	if other := p.sniffed(w.text); f == shellText && other != nil && other.by != byYAML {
		f = other // whatever the page says
	}
	switch {
	case f == shellText && hasPrompts(w.text):
		p.tells(w)
		p.readAs(shellText, word{typed(w.text), w.row})
	case f.name == "patch":
		p.readAs(anything, word{added(w.text), w.row})
	default:
		p.readAs(f, w)
	}
}

// aLimit is a line of limits.conf without its first field.
var aLimit = regexp.MustCompile(`^(?:soft|hard|-)\s+\w+\s+\S+$`)

func hasPrompts(s string) bool {
	for line := range strings.Lines(s) {
		if prompt.MatchString(trim(line)) && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

// typed blanks what a shell answered.
func typed(s string) string {
	var b strings.Builder
	open := false
	for line := range strings.Lines(s) {
		if t := trim(strings.TrimSuffix(line, "\n")); open || prompt.MatchString(t) {
			b.WriteString(prompt.ReplaceAllString(t, ""))
			open = strings.HasSuffix(t, `\`)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// added are the lines that a patch puts in.
func added(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if rest, ok := strings.CutPrefix(line, "+"); ok && !strings.HasPrefix(rest, "+") {
			b.WriteString(rest)
		} else {
			b.WriteString("\n")
		}
	}
	return b.String()
}

func (t *page) cellsOf(n ast.Node) (cells []word) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		cells = append(cells, t.flat(c))
	}
	return cells
}

// notSet are the headings of columns that say what is so without the setting.
var notSet = regexp.MustCompile(`(?i)default|current|before|old|from|min|max|range|since|version|unit`)

// widestTable is how many cells behind a name are looked at for its value.
const widestTable = 12

// cells takes a row of a table: a name and what it is set to, or cells that are settings.
func (p *parser) cells(cells, header []word) {
	for i, c := range cells {
		p.goTo(c.row)
		name := trim(c.text)
		if !strings.Contains(name, "\n") && p.assignment(name) {
			return
		}
		if !looksLikeKey(name) {
			continue
		}
		for j := i + 1; j < min(len(cells), i+widestTable); j++ {
			if value := cells[j].text; isValue(value) &&
				!(j < len(header) && notSet.MatchString(header[j].text)) {
				p.add(setting{form: asConf, key: knob.Key(name),
					value: bareWord(value)})
				return
			}
		}
	}
}

// flat is the text of a node without its marks.
func (t *page) flat(n ast.Node) word {
	var b strings.Builder
	row := 0
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if leaf, ok := c.(*ast.Text); ok && entering {
			if row == 0 {
				row = t.rowAt(leaf.Segment.Start)
			}
			b.Write(leaf.Segment.Value(t.source))
			if leaf.SoftLineBreak() || leaf.HardLineBreak() {
				b.WriteByte('\n')
			}
		}
		return ast.WalkContinue, nil
	})
	return word{b.String(), row}
}

// lines takes the lines of a paragraph, or the code in them.
func (t *page) lines(n ast.Node) {
	coded := false
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		switch c.(type) {
		case *ast.CodeSpan, *ast.Emphasis:
			if !entering {
				break
			}
			if before, ok := c.PreviousSibling().(*ast.Text); ok &&
				warns.Match(before.Segment.Value(t.source)) {
				t.tells(t.flat(c))
				return ast.WalkSkipChildren, nil
			}
			first := len(t.settings)
			t.inline(t.flat(c))
			coded = coded || len(t.settings) > first
			if _, code := c.(*ast.CodeSpan); code || len(t.settings) > first {
				return ast.WalkSkipChildren, nil
			}
		}
		return ast.WalkContinue, nil
	})
	if coded {
		return
	}
	w := t.flat(n)
	if item, ok := n.Parent().(*ast.ListItem); ok && n.PreviousSibling() == nil &&
		item.Parent().(*ast.List).Marker == '*' && aLimit.MatchString(w.text) {
		w.text = "* " + w.text // the domain, not a mark of a list
	}
	t.sentences(w)
}

// sentences reads text that is no code.
func (p *parser) sentences(w word) {
	p.pages++
	p.readAs(anything, w)
	p.pages--
	for row, line := range w.lines() {
		if advisesNot.MatchString(line) {
			continue
		}
		for _, m := range advice.FindAllStringSubmatch(line, mostPrinted) {
			if key := mentioned(m[1]); key != "" {
				p.goTo(row)
				p.add(setting{form: asConf, key: key, value: trim(m[2])})
			}
		}
	}
}

// warns is what stands in front of code that is not to be used.
var warns = regexp.MustCompile(`(?i)\b(?:never|avoid|not|don't|without|instead of)\b[^.:;,]{0,30}$`)

// A sentence that says what to set, and one that says what not to.
var (
	advice = regexp.MustCompile(`(?i)(?:(?:^|[.:;,)]\s+|` +
		`\b(?:should|must|please|to|then|and|we|can)\s+)` +
		`(?:set|raise|increase|change|bump|lower|reduce|decrease)\s+(?:the\s+)?` +
		`(?:value\s+of\s+)?|\band\s+)([\w./-]+)\s+(?:from\s+[0-9]+\s+)?(?:to|at|=)\s+` +
		`([0-9]+(?:\s[0-9]+)*)(?:[\s.,;:)]|$)`)
	advisesNot = regexp.MustCompile(
		`(?i)\b(?:not|never|avoid|don't|dont|doesn't|if|when|unless|instead)\b`)
)

// inline takes code inside of a sentence, where it is a setting or a command as a whole.
func (p *parser) inline(w word) {
	p.goTo(w.row)
	p.pages++
	if t := trim(w.text); !p.plain(t) {
		p.readAs(shellText, w)
	}
	p.pages--
}

func (t *page) htmlBlock(n *ast.HTMLBlock) {
	lines := n.Lines()
	if lines.Len() > 0 {
		t.readAs(formatTagged("html"),
			word{string(lines.Value(t.source)), t.rowAt(lines.At(0).Start)})
	}
}
