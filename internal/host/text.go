package host

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// header and trailer frame the text form: a file without the trailer was cut off.
const (
	header  = "maxconn.snapshot/1"
	trailer = "end"
)

// SyntaxError says where a snapshot's text is not one.
type SyntaxError struct {
	Line int
	Why  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("snapshot line %d: %s", e.Line, e.Why) }

// Text is the snapshot as lines "kind name = value", or "kind name ! reason"
// where a fact could not be read, sorted, between a header and a trailer line.
func (s Snapshot) Text() []byte {
	var b bytes.Buffer
	b.WriteString(header + "\n")
	for _, f := range s.Facts() {
		r := s.readings[f]
		mark, text := "=", r.Text
		if r.Err != "" {
			mark, text = "!", r.Err
		}
		line := string(f.Kind) + " " + escapeName(f.Name) + " " + mark
		if text != "" {
			line += " " + escapeText(text)
		}
		b.WriteString(line + "\n")
	}
	b.WriteString(trailer + "\n")
	return b.Bytes()
}

// What a snapshot may hold. observe writes less: names of processes have 15 bytes, paths of
// cgroups at most PATH_MAX, lists of ports 32768 entries. A table of more rows is read in
// part, and its "*" says so.
const (
	mostFacts  = 1 << 18
	mostRows   = 16384   // of a table
	mostTables = 20000   // rows of all tables
	mostKind   = 64      // bytes of a kind
	mostFields = 64      // of a row
	mostName   = 8192    // bytes of a name, a field or a reason
	mostValue  = 1 << 20 // bytes of a sysctl or a list of ports
)

// Parse reads the text form. Empty lines and lines that begin with "#" are
// skipped. Errors are *SyntaxError with the line.
func Parse(text []byte) (Snapshot, error) {
	var s Snapshot
	var rows rowCount
	n, ended := 0, false
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case !s.started():
			if line != header {
				return s, &SyntaxError{n,
					fmt.Sprintf("want %q, have %.40q: not a snapshot", header,
						line)}
			}
			s.readings, s.names = map[Fact]Reading{}, map[Kind][]string{}
		case ended:
			return s, &SyntaxError{n, "text after the end"}
		case line == trailer:
			ended = true
		default:
			if err := s.parseLine(line, &rows); err != "" {
				return s, &SyntaxError{n, err}
			}
		}
	}
	switch {
	case !s.started():
		return s, &SyntaxError{n, "empty: not a snapshot"}
	case !ended:
		return s, &SyntaxError{n, "cut off: the last line is not \"end\""}
	}
	s.tellOfRest(rows)
	return s, nil
}

func (s *Snapshot) started() bool { return s.readings != nil }

// rowCount bounds the rows that are read.
type rowCount struct {
	all    int
	passed map[Kind]int
	read   map[Kind]int
}

// admit says whether a further row of the table is read, or counts it as skipped.
func (c *rowCount) admit(k Kind) bool {
	if c.all == 0 {
		c.passed, c.read = map[Kind]int{}, map[Kind]int{}
	}
	if c.all >= mostTables || c.read[k] >= mostRows {
		c.passed[k]++
		return false
	}
	c.all++
	c.read[k]++
	return true
}

// tellOfRest gives the reason for the rows that were skipped.
func (s *Snapshot) tellOfRest(c rowCount) {
	for k, n := range c.passed {
		s.Hide(All(k),
			fmt.Sprintf("%d rows were read and %d more were not: a snapshot is "+
				"read up to %d rows of a table, "+
				"and %d of all", c.read[k], n, mostRows, mostTables))
	}
}

// parseLine reads one "kind name = value" and returns what is wrong with it. Rows of a
// table are counted.
func (s *Snapshot) parseLine(line string, rows *rowCount) (wrong string) {
	kind, rest, _ := strings.Cut(line, " ")
	name, rest, _ := strings.Cut(rest, " ")
	mark, text, _ := strings.Cut(rest, " ")
	if !validKind(kind) || name == "" || (mark != "=" && mark != "!") {
		return fmt.Sprintf("%.60q is not \"kind name = value\"", line)
	}
	name, err1 := unescapeName(name)
	text, err2 := unescapeText(text)
	if err1 != nil || err2 != nil {
		return fmt.Sprintf("%.60q has a broken escape", line)
	}
	f := Fact{Kind(kind), name}
	if f.Kind.IsTable() && name != "*" && !rows.admit(f.Kind) {
		return ""
	}
	if len(s.readings) >= mostFacts {
		return fmt.Sprintf("there are more than %d facts", mostFacts)
	}
	if tooLong(f, mark, text) {
		return fmt.Sprintf("%.60s is longer than what observe writes", f)
	}
	if _, twice := s.readings[f]; twice {
		return fmt.Sprintf("%s stands twice", f)
	}
	if mark == "!" {
		if text == "" {
			return fmt.Sprintf("%s: no reason after \"!\"", f)
		}
		s.put(f, Reading{Err: text})
		return ""
	}
	if f.Kind.IsTable() && !validFields(text) {
		return fmt.Sprintf("%s: %.60q is not a row of name=value", f, text)
	}
	s.put(f, Reading{Text: text})
	return ""
}

// tooLong says whether a fact is larger than any that was observed: the work that some are
// worth is not linear in them.
func tooLong(f Fact, mark, text string) bool {
	most := mostName
	if mark == "=" && (f.Kind == SysctlKind || f.Kind == PortsKind || f.Kind.IsTable()) {
		most = mostValue
	}
	return len(f.Kind) > mostKind || len(f.Name) > mostName || len(text) > most
}

func validKind(k string) bool {
	return k != "" && strings.Trim(k, "abcdefghijklmnopqrstuvwxyz-") == "" && k != trailer
}

// escapeName keeps a name free of spaces and control characters.
func escapeName(name string) string {
	if name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '"'
	}) {
		return name
	}
	return strings.ReplaceAll(strconv.QuoteToASCII(name), " ", `\x20`)
}

func unescapeName(name string) (string, error) {
	if !strings.HasPrefix(name, `"`) {
		return name, nil
	}
	return strconv.Unquote(name)
}

// escapeText keeps a value on one line and tells its outer spaces.
func escapeText(text string) string {
	if strings.TrimSpace(text) == text && !strings.HasPrefix(text, `"`) &&
		!strings.ContainsFunc(text, isControl) {
		return text
	}
	return strconv.QuoteToASCII(text)
}

// isControl is what would not stay text on a terminal, or not come back: strconv.IsPrint leaves
// letters, marks, numbers, punctuation, symbols and the space.
func isControl(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }

func unescapeText(text string) (string, error) {
	if !strings.HasPrefix(text, `"`) {
		return text, nil
	}
	return strconv.Unquote(text)
}
