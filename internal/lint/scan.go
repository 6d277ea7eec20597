package lint

import (
	"bytes"
	"strings"
)

// rows are the lines of a text, with LF or CRLF at their ends, which are taken off one
// after the other.
type rows struct {
	rest string
	n    int // of the line taken last, from 1
}

// bom is the mark of UTF-8 that editors on Windows put in front.
const bom = "\xef\xbb\xbf"

// rowsOf begins at the first line. A mark of UTF-8 in front is taken off; marked says that
// there was one.
func rowsOf(text []byte) (r *rows, marked bool) {
	s, marked := strings.CutPrefix(string(text), bom)
	return &rows{rest: s}, marked
}

func (r *rows) more() bool { return r.rest != "" }

// next takes a line, without its end.
func (r *rows) next() string {
	var line string
	line, r.rest, _ = strings.Cut(r.rest, "\n")
	r.n++
	return strings.TrimSuffix(line, "\r")
}

// notText says whether the file is none that sysctl or a shell could read: it has NUL bytes.
func notText(text []byte) bool { return bytes.IndexByte(text, 0) >= 0 }

// blank is the white space around names and values.
const blank = " \t\v\f\r"

func trim(s string) string { return strings.Trim(s, blank) }
