package encode

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Visible is text for one line of a terminal. What is not printable (control characters and escape
// sequences of ECMA-48, marks that turn the writing direction, line separators, zero-width
// characters, bytes that are no UTF-8) is shown as in a Go string. strconv.IsPrint draws the line:
// letters, marks, numbers, punctuation, symbols and the ASCII space.
func Visible(s string) string {
	if IsVisible(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(s[i:], string(utf8.RuneError)):
			b.WriteRune(r)
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// IsVisible says whether Visible leaves a text as it is.
func IsVisible(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, hidden)
}

func hidden(r rune) bool { return (r < ' ' || r > '~') && !strconv.IsPrint(r) }
