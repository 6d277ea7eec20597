package host

import (
	"bytes"
	"fmt"
	"math/bits"
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
// cgroups at most PATH_MAX, lists of ports 32768 entries. Of more rows the first are read,
// and the "*" of each table that is read in part says so.
const (
	mostFacts  = 1 << 18
	mostRows   = 12288   // of all tables
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
	if c.all >= mostRows {
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
		s.Hide(All(k), fmt.Sprintf("%d rows were read and %d more were not: a snapshot is "+
			"read up to %d rows of all tables", c.read[k], n, mostRows))
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

// PortSet is a set of TCP ports. The zero value is empty. It is a value: copies are
// independent.
type PortSet struct{ words [1024]uint64 }

// ParsePorts reads the form of ip_local_reserved_ports, "8080,9148-9150".
func ParsePorts(text string) (PortSet, error) {
	var s PortSet
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" && text == "" {
			break
		}
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		lo, err1 := strconv.ParseUint(low, 10, 16)
		hi, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || lo > hi {
			return PortSet{}, fmt.Errorf("ports %.60q: %.60q is not a port or a range",
				text, part)
		}
		s.addRange(lo, hi)
	}
	return s, nil
}

// Add puts a port into the set.
func (s *PortSet) Add(port uint16) { s.words[port/64] |= 1 << (port % 64) }

// Remove takes out one port.
func (s *PortSet) Remove(port uint16) { s.words[port/64] &^= 1 << (port % 64) }

// addRange puts all ports from low to high into the set, both included and below 65536, a
// word at a time.
func (s *PortSet) addRange(low, high uint64) {
	for w := low / 64; w <= high/64; w++ {
		s.words[w] |= mask(int64(max(low, w*64)-w*64), int64(min(high, w*64+63)-w*64))
	}
}

// Has says whether the port is in the set.
func (s *PortSet) Has(port uint16) bool { return s.words[port/64]&(1<<(port%64)) != 0 }

// Union is the ports that are in one of the two.
func (s PortSet) Union(t PortSet) PortSet {
	for i := range s.words {
		s.words[i] |= t.words[i]
	}
	return s
}

// Within is the ports of the set between low and high, both included.
func (s PortSet) Within(low, high int64) PortSet {
	for i := range s.words {
		first, last := int64(i)*64, int64(i)*64+63
		switch {
		case last < low || first > high:
			s.words[i] = 0
		case first < low || last > high:
			s.words[i] &= mask(max(low, first)-first, min(high, last)-first)
		}
	}
	return s
}

// mask has the bits from low to high set.
func mask(low, high int64) uint64 { return ^uint64(0) >> (63 - uint(high-low)) << uint(low) }

// Len is the number of ports in the set.
func (s *PortSet) Len() (n int64) {
	for _, w := range s.words {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// String is the set as ports and ranges in ascending order.
func (s PortSet) String() string {
	var b []byte
	for first := s.next(0, 0); first < 65536; {
		end := s.next(first, ^uint64(0))
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(first), 10)
		if end-1 > first {
			b = strconv.AppendInt(append(b, '-'), int64(end-1), 10)
		}
		first = s.next(end, 0)
	}
	return string(b)
}

// next is the first port from one on that is in the set or, where flip has all bits, that is not;
// 65536 for none.
func (s *PortSet) next(port int, flip uint64) int {
	for i := port / 64; i < len(s.words); i++ {
		w := s.words[i] ^ flip
		if i == port/64 {
			w &= ^uint64(0) << (port % 64)
		}
		if w != 0 {
			return i*64 + bits.TrailingZeros64(w)
		}
	}
	return 65536
}
