//go:build linux

package netns

import (
	"cmp"
	"slices"
	"strings"
)

// near gives the names that a user may have meant by word, nearest first: those
// within two edits, and those that contain the word.
func near(word string, names []string) []string {
	type candidate struct {
		name  string
		edits int
	}
	var found []candidate
	for _, name := range names {
		d := edits(strings.ToLower(word), strings.ToLower(name))
		if d <= 2 && d < len(name) || len(word) > 1 && strings.Contains(name, word) {
			found = append(found, candidate{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.edits, b.edits) })
	out := make([]string, len(found))
	for i, c := range found {
		out[i] = c.name
	}
	return out
}

// edits is the Levenshtein distance in bytes. Names are at most 255 bytes
// (NAME_MAX), so the quadratic cost does not matter.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
