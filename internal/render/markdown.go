package render

import (
	"io"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
)

// md is text of a Markdown document: constants, prose and code. A plain string does not compile.
type md = encode.Markdown

// prose and code are how text gets into a document.
func prose(s string) md { return encode.Prose(s) }
func code(s string) md  { return encode.Code(s) }

// proseOf is cells of plain text.
func proseOf(words ...string) []md {
	out := make([]md, len(words))
	for i, w := range words {
		out[i] = prose(w)
	}
	return out
}

// markdown collects a document in GitHub's flavour.
type markdown struct{ b encode.Builder[md] }

func (m *markdown) flush(w io.Writer) error {
	_, err := io.WriteString(w, strings.TrimLeft(m.b.String(), "\n"))
	return err
}

// levels are the marks of headings.
var levels = [...]md{1: "#", 2: "##", 3: "###", 4: "####"}

// heading, paragraph and table begin with an empty line; items follow each other.
func (m *markdown) heading(level int, words md) { m.b.Write("\n", levels[level], " ", words, "\n") }

func (m *markdown) paragraph(words md) { m.b.Write("\n", encode.Block(words), "\n") }

func (m *markdown) item(words md) { m.b.Write("- ", encode.Block(words), "\n") }

// items begin a list after an empty line; none writes nothing.
func (m *markdown) items(all ...md) {
	if len(all) > 0 {
		m.b.Write("\n")
	}
	for _, words := range all {
		m.item(words)
	}
}

// table has its first row as the head; columns whose head ends in ":" are right-aligned, the ":" is
// dropped. "|" in a cell is escaped here.
func (m *markdown) table(heads []md, rows [][]md) {
	rule := make([]md, len(heads))
	names := make([]md, len(heads))
	for i, h := range heads {
		rule[i], names[i] = "---", h
		if len(h) > 0 && h[len(h)-1] == ':' {
			rule[i], names[i] = "---:", h[:len(h)-1]
		}
	}
	m.b.Write("\n")
	for _, row := range append([][]md{names, rule}, rows...) {
		m.b.Write("|")
		for _, cell := range row {
			if cell != "" {
				m.b.Write(" ", encode.Cell(cell))
			}
			m.b.Write(" |")
		}
		m.b.Write("\n")
	}
}
