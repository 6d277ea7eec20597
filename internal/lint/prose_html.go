package lint

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
)

// html reads the code of a page, its tables, and its lines.
func (p *parser) html(all *rows) {
	t := &htmlPage{parser: p}
	z := html.NewTokenizer(strings.NewReader(all.rest))
	row := all.n + 1
	for z.Next() != html.ErrorToken {
		raw := bytes.Count(z.Raw(), []byte("\n"))
		t.token(z.Token(), row)
		row += raw
	}
	t.endRow()
	t.flush()
	all.rest = ""
}

type htmlPage struct {
	*parser
	text          []byte // so far
	begins        int    // its row
	filled        bool   // there is more in it than blanks
	inner         string // the element whose text is code, "" for none
	language      string
	cells, header []word
	heads         bool   // the row has headings
	cell          string // td or th, where the text is that of a cell
	dead          string // the element whose text nobody reads
}

func (t *htmlPage) token(tok html.Token, row int) {
	switch tok.Type {
	case html.TextToken:
		if t.dead != "" {
			t.tells(word{tok.Data, row})
			return
		}
		if !t.filled {
			t.begins, t.text = row, t.text[:0]
			t.filled = trim(tok.Data) != ""
		}
		t.text = append(t.text, tok.Data...)
	case html.StartTagToken, html.SelfClosingTagToken:
		t.start(tok)
	case html.EndTagToken:
		t.end(tok.Data)
	}
}

// spans are elements that do not end a line.
var spans = set("b i em strong span a u font small tt mark sup sub kbd samp var")

func (t *htmlPage) start(tok html.Token) {
	switch tok.Data {
	case "script", "style", "title", "textarea", "head":
		t.flush()
		t.dead = tok.Data
		return
	case "pre", "code":
		if t.cell != "" && tok.Data == "code" {
			return // the cell is read as a whole
		}
		for _, a := range tok.Attr {
			if a.Key == "class" {
				t.language = strings.TrimPrefix(strings.TrimPrefix(firstWord(a.Val),
					"language-"), "highlight-source-")
			}
		}
		if t.inner == "" {
			t.flush()
			t.inner = tok.Data
		}
		return
	case "br":
		if t.inner == "pre" || t.cell != "" {
			t.text = append(t.text, "\n"+written...)
			return
		}
	case "tr":
		t.endRow()
	case "td", "th":
		if t.endCell(); t.inner == "" {
			t.flush()
			t.cell = tok.Data
		}
	}
	t.part(tok.Data)
}

// part ends a text at an element that is none inside of a line.
func (t *htmlPage) part(name string) {
	switch {
	case spans[name] || t.inner != "":
	case t.cell != "":
		t.text = append(t.text, ' ')
	default:
		t.flush()
	}
}

// endCell ends a cell of a table, whose end need not be written.
func (t *htmlPage) endCell() {
	if t.cell == "" {
		return
	}
	t.heads = t.heads || t.cell == "th"
	w := t.taken()
	t.cells = append(t.cells, word{strings.TrimSpace(w.text), w.row})
	t.cell = ""
}

// endRow reads a row of a table; what is none, line by line.
func (t *htmlPage) endRow() {
	t.endCell()
	first := len(t.settings)
	if t.parser.cells(t.cells, t.header); t.heads {
		t.header = t.cells
	}
	for _, c := range t.cells {
		if len(t.settings) == first && strings.Contains(c.text, "\n") {
			t.sentences(c)
		}
	}
	t.cells, t.heads = nil, false
}

func (t *htmlPage) end(name string) {
	switch {
	case name == t.dead:
		t.dead = ""
		t.taken()
	case name == t.inner:
		w := t.taken()
		t.inner = ""
		if name == "pre" {
			t.inLanguage(t.language, w)
		} else {
			t.inline(w)
		}
		t.language = ""
	case name == "td" || name == "th":
		t.endCell()
	case name == "tr" || name == "table":
		t.endRow()
	case name == "code" && t.cell != "":
	default:
		t.part(name)
	}
}

// taken is the text so far; what follows is another.
func (t *htmlPage) taken() word {
	w := word{string(t.text), t.begins}
	t.text, t.filled = t.text[:0], false
	return w
}

// flush reads the text so far.
func (t *htmlPage) flush() {
	if w := t.taken(); trim(w.text) != "" && t.dead == "" {
		t.sentences(w)
	}
}
