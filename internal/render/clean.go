package render

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Clean makes a text fit for a terminal's line: what is not printable (control characters, escape
// sequences, marks that turn the writing direction, bytes that are no UTF-8) is shown as in a Go string.
func Clean(s string) string {
	if !strings.ContainsFunc(s, unfit) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(s[i:], string(utf8.RuneError)):
			b.WriteRune(r)
		case r == utf8.RuneError:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
		case unfit(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unfit(r rune) bool { return r == utf8.RuneError || !strconv.IsPrint(r) }
