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
	dead          string // the element whose text nobody reads
}

func (t *htmlPage) token(tok html.Token, row int) {
	switch tok.Type {
	case html.TextToken:
		if t.dead != "" {
			return
		}
		if !t.filled {
			t.begins, t.text = row, t.text[:0]
			t.filled = trim(tok.Data) != ""
		}
		t.text = append(t.text, tok.Data...)
	case html.StartTagToken:
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
		if t.inner == "pre" {
			t.text = append(t.text, "\n"+written...)
			return
		}
	case "tr":
		t.cells = nil
	}
	if !spans[tok.Data] && t.inner == "" {
		t.flush()
	}
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
		t.heads = t.heads || name == "th"
		w := t.taken()
		t.cells = append(t.cells, word{trim(w.text), w.row})
	case name == "tr":
		if t.parser.cells(t.cells, t.header); t.heads {
			t.header = t.cells
		}
		t.cells, t.heads = nil, false
	case !spans[name] && t.inner == "":
		t.flush()
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
