package render

import (
	"strings"

	"github.com/muesli/reflow/ansi"
)

// wrapWords breaks a text at its spaces, so that no line has more columns than the limit but for words that are longer.
// It does what reflow's wordwrap does, which measures a word again for each of its characters.
func wrapWords(text string, limit int) string {
	w := wrapper{limit: limit}
	w.b.Grow(len(text) + len(text)/max(limit, 1))
	begin, columns, escaped := 0, 0, false
	for i, r := range text {
		switch {
		case r == ansi.Marker:
			escaped = true
		case escaped:
			escaped = !ansi.IsTerminator(r)
		case r == ' ':
			w.word(text[begin:i], columns)
			w.spaces++
			begin, columns = i+1, 0
		default:
			columns += widthOf(r)
			w.fit(columns)
		}
	}
	w.word(text[begin:], columns)
	return w.b.String()
}

// wrapper is a text so far.
type wrapper struct {
	b      strings.Builder
	limit  int
	filled int // columns of the line
	spaces int // that have not been written
}

// fit begins a line where a word of so many columns would not fit this one. One as wide as a line stays where it is.
func (w *wrapper) fit(columns int) {
	if w.filled+w.spaces+columns > w.limit && columns < w.limit {
		w.b.WriteByte('\n')
		w.filled, w.spaces = 0, 0
	}
}

func (w *wrapper) word(text string, columns int) {
	if text == "" {
		return
	}
	for range w.spaces {
		w.b.WriteByte(' ')
	}
	w.b.WriteString(text)
	w.filled, w.spaces = w.filled+w.spaces+columns, 0
}

func widthOf(r rune) int {
	if r < 0x7f {
		return 1 // Clean has left nothing that does not print
	}
	return ansi.PrintableRuneWidth(string(r))
}
