package render

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Style is how a result is put on a screen.
type Style struct {
	Width   int  // columns; fewer than 40 count as 40
	Color   bool // escape sequences for colour
	Verbose bool // everything, not only what fits a first screen
}

// narrowest is the width below which a screen only gets longer, not better.
const narrowest = 40

// paint is a colour or weight, an SGR parameter.
type paint string

const (
	plain  paint = ""
	bold   paint = "1"
	dim    paint = "2"
	red    paint = "1;31"
	yellow paint = "1;33"
	green  paint = "1;32"
)

// span is a text in one paint.
type span struct {
	text  string
	paint paint
}

func text(s string) span { return span{s, plain} }

// screen collects lines. All text passes through string(), which cleans it.
type screen struct {
	b     strings.Builder
	style Style
}

func newScreen(s Style) *screen {
	s.Width = max(s.Width, narrowest)
	return &screen{style: s}
}

// flush writes all at once, so that an interrupted program leaves nothing half-written.
func (s *screen) flush(w io.Writer) error {
	_, err := io.WriteString(w, s.b.String())
	return err
}

func (s *screen) string(spans []span) string {
	var b strings.Builder
	for _, x := range spans {
		t := Clean(x.text)
		if s.style.Color && x.paint != plain && t != "" {
			t = "\x1b[" + string(x.paint) + "m" + t + "\x1b[0m"
		}
		b.WriteString(t)
	}
	return b.String()
}

// wide is how many columns a text takes. Printable ASCII takes one each, which is faster to see
// than to look for clusters of characters.
func wide(s string) int {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

func (s *screen) blank() { s.b.WriteByte('\n') }

// line writes one line; what does not fit the width is cut off behind a word, which it says.
func (s *screen) line(indent int, spans ...span) (cut bool) {
	t := s.string(spans)
	if room := s.style.Width - indent; wide(t) > room {
		cut, t = true, s.string(cutSpans(spans, room))
	}
	s.b.WriteString(strings.TrimRight(strings.Repeat(" ", indent)+t, " ") + "\n")
	return cut
}

// cutSpans is the beginning of the spans that fits the width with " ..." behind it. It ends
// with a whole word, unless that would leave less than half of the line.
func cutSpans(spans []span, width int) (out []span) {
	var whole strings.Builder
	for _, x := range spans {
		whole.WriteString(Clean(x.text))
	}
	room := width - len(" ...")
	short := ansi.Truncate(whole.String(), max(room, 0), "")
	if next, _ := utf8.DecodeRuneInString(whole.String()[len(short):]); next != ' ' {
		if i := strings.LastIndexByte(short, ' '); wide(short[:max(i, 0)]) >= room/2 {
			short = short[:i]
		}
	}
	left := len(strings.TrimRight(short, " :;,"))
	for _, x := range spans {
		t := Clean(x.text)
		t = t[:min(left, len(t))]
		left -= len(t)
		out = append(out, span{t, x.paint})
	}
	return append(out, text(" ..."))
}

// para writes words wrapped at the width; lines after the first begin at hang, which is not
// left of indent.
func (s *screen) para(indent, hang int, spans ...span) {
	lead := strings.Repeat(" ", indent)
	for _, t := range s.wrapped(s.style.Width-hang, spans) {
		s.b.WriteString(strings.TrimRight(lead+t, " ") + "\n")
		lead = strings.Repeat(" ", hang)
	}
}

// labelled writes a label and, in a column to its right, wrapped words.
func (s *screen) labelled(indent int, label string, column int, spans ...span) {
	lead := strings.Repeat(" ", indent) + s.string([]span{{label, dim}})
	for _, t := range s.wrapped(s.style.Width-column, spans) {
		gap := strings.Repeat(" ", max(0, column-wide(lead)))
		s.b.WriteString(strings.TrimRight(lead+gap+t, " ") + "\n")
		lead = ""
	}
}

// wrapped breaks at spaces only (a hyphen is part of a name here), and anywhere in a word
// that is longer than a line.
func (s *screen) wrapped(width int, spans []span) []string {
	// ansi.Wordwrap breaks behind every "-": a private character stands for it meanwhile.
	const hyphen = "\ue02d"
	t := s.string(spans)
	if wide(t) == len(t) && len(t) <= width && len(t) > 0 {
		return []string{t}
	}
	t = ansi.Wordwrap(strings.ReplaceAll(t, "-", hyphen), width, "")
	lines := strings.Split(strings.ReplaceAll(t, hyphen, "-"), "\n")
	for _, line := range lines {
		if wide(line) > width {
			return strings.Split(ansi.Hardwrap(strings.Join(lines, "\n"), width, true),
				"\n")
		}
	}
	return lines
}

// Fold breaks lines that are wider than a screen at spaces, and indents what follows by hang more.
func Fold(text string, width, hang int) string {
	s := newScreen(Style{Width: width})
	for line := range strings.Lines(text) {
		words := strings.TrimRight(line, " \n")
		if ansi.StringWidth(words) <= s.style.Width {
			s.b.WriteString(line)
			continue
		}
		indent := len(words) - len(strings.TrimLeft(words, " "))
		s.para(indent, indent+hang, span{text: words[indent:]})
	}
	return s.b.String()
}

// mostRule is as long as a line between results gets.
const mostRule = 120

// rule parts two results.
func (s *screen) rule() {
	s.blank()
	s.line(0, span{strings.Repeat("-", min(s.style.Width, mostRule)), dim})
	s.blank()
}
