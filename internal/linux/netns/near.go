//go:build linux

package netns

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/near"
)

const longestName = 255 // NAME_MAX

// alike gives the names that a user may have meant by word, nearest first: those
// within two edits, and those that contain the word.
func alike(word string, names []string) []string {
	type candidate struct {
		name  string
		edits int
	}
	var found []candidate
	for _, name := range names {
		d := near.Edits(strings.ToLower(word), strings.ToLower(name), longestName)
		if d <= 2 && d < len(name) || len(word) > 1 && strings.Contains(name, word) {
			found = append(found, candidate{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Compare(a.edits, b.edits)
	})
	out := make([]string, len(found))
	for i, c := range found {
		out[i] = c.name
	}
	return out
}
