// Package figure writes numbers the way every output of maxconn shows them.
package figure

import (
	"strconv"
	"strings"
)

// Count writes a whole number with separators: 28,232.
func Count(n int64) string { return Separate(strconv.FormatInt(n, 10)) }

// Separate puts separators into a text of digits, with or without a sign.
func Separate(s string) string {
	digits := strings.TrimLeft(s, "+-")
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return s[:len(s)-len(digits)] + b.String()
}
