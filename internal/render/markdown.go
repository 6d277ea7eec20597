package render

import (
	"io"
	"strings"
)

// markdown collects a document in GitHub's flavour.
type markdown struct{ b strings.Builder }

func (m *markdown) flush(w io.Writer) error {
	_, err := io.WriteString(w, strings.TrimLeft(m.b.String(), "\n"))
	return err
}

// heading, paragraph and table begin with an empty line; items follow each other.
func (m *markdown) heading(level int, words string) {
	m.b.WriteString("\n" + strings.Repeat("#", level) + " " + words + "\n")
}

func (m *markdown) paragraph(words string) { m.b.WriteString("\n" + words + "\n") }

func (m *markdown) item(words string) { m.b.WriteString("- " + words + "\n") }

// items begin a list after an empty line; none writes nothing.
func (m *markdown) items(all ...string) {
	if len(all) > 0 {
		m.b.WriteString("\n")
	}
	for _, words := range all {
		m.item(words)
	}
}

// table has its first row as the head; columns whose head ends in ":" are right-aligned, the ":" is
// dropped. "|" in a cell is escaped here.
func (m *markdown) table(heads []string, rows [][]string) {
	rule := make([]string, len(heads))
	names := make([]string, len(heads))
	for i, h := range heads {
		rule[i] = "---"
		if name, right := strings.CutSuffix(h, ":"); right {
			h, rule[i] = name, "---:"
		}
		names[i] = h
	}
	m.b.WriteString("\n")
	for _, row := range append([][]string{names, rule}, rows...) {
		m.b.WriteString("|")
		for _, cell := range row {
			if cell == "" {
				m.b.WriteString(" |")
				continue
			}
			m.b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		m.b.WriteString("\n")
	}
}

// prose is plain text as Markdown shows it: marks that Markdown would take for its own are escaped.
func prose(s string) string {
	var b strings.Builder
	clean := Clean(s)
	for i, r := range clean {
		switch {
		case strings.ContainsRune("\\`*<>[]~", r):
			b.WriteByte('\\')
		case r == '_' && !insideWord(clean, i):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// insideWord says that a letter or digit stands on both sides, where "_" does not emphasise.
func insideWord(s string, i int) bool {
	return i > 0 && i+1 < len(s) && alphanumeric(s[i-1]) && alphanumeric(s[i+1])
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// code is text in a code span, whatever it holds. Empty text stays empty.
func code(s string) string {
	if s == "" {
		return ""
	}
	s = Clean(s)
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		s = " " + s + " "
	}
	return fence + s + fence
}
