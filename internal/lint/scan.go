package lint

import (
	"bytes"
	"strings"
)

// row is one line of a file, without its end.
type row struct {
	n    int
	text string
}

// bom is the mark of UTF-8 that editors on Windows put in front.
const bom = "\xef\xbb\xbf"

// rows are the lines of a text, with LF or CRLF at their ends. A mark of UTF-8 in front is taken off; marked says
// that there was one.
func rows(text []byte) (all []row, marked bool) {
	s, marked := strings.CutPrefix(string(text), bom)
	n := 0
	for line := range strings.Lines(s) {
		n++
		all = append(all, row{n, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")})
	}
	return all, marked
}

// notText says whether the file is none that sysctl or a shell could read: it has NUL bytes.
func notText(text []byte) bool { return bytes.IndexByte(text, 0) >= 0 }

// blank is the white space around names and values.
const blank = " \t\v\f\r"

func trim(s string) string { return strings.Trim(s, blank) }
