package limit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/near"
)

// Using lists the limits that name a knob, sorted by ID.
func Using(name string) (limits []*Limit) {
	for _, l := range Catalogue() {
		if slices.Contains(l.Knobs, name) {
			limits = append(limits, l)
		}
	}
	return limits
}

// Suggest lists up to three things that the catalogue knows and that are spelled alike:
// limits, knobs, errnos, nearest first.
func Suggest(text string) []string {
	n := newNearest(text)
	for _, l := range Catalogue() {
		n.offer(string(l.ID), string(l.ID))
	}
	for _, k := range knob.Rows() {
		lower := strings.ToLower(k.Name)
		n.offer(k.Name, lower)
		n.offer(k.Name, knob.Last(lower))
	}
	for _, e := range Errnos() {
		n.offer(e, strings.ToLower(e))
	}
	return n.names()
}

// SuggestLimit lists up to three IDs that are spelled alike, nearest first.
func SuggestLimit(text string) []string {
	n := newNearest(text)
	for _, l := range Catalogue() {
		n.offer(string(l.ID), string(l.ID))
	}
	return n.names()
}

// nearest collects names by their distance from a text.
type nearest struct {
	text string
	best map[string]int
}

// longestWord is the length from which a text is no misspelt name.
const longestWord = 64

func newNearest(text string) nearest {
	return nearest{strings.ToLower(strings.TrimSpace(text)), map[string]int{}}
}

// offer takes a name that is spelled alike, or that contains the text.
func (n nearest) offer(name, spelled string) {
	if name == "" || n.text == "" || len(n.text) > longestWord {
		return
	}
	d := near.Edits(n.text, spelled, longestWord)
	alike := d <= max(2, len(n.text)/4) ||
		(len(n.text) >= 4 && strings.Contains(spelled, n.text))
	if was, ok := n.best[name]; alike && (!ok || d < was) {
		n.best[name] = d
	}
}

func (n nearest) names() []string {
	all := slices.SortedFunc(maps.Keys(n.best), func(a, b string) int {
		return cmp.Or(cmp.Compare(n.best[a], n.best[b]), strings.Compare(a, b))
	})
	return all[:min(3, len(all))]
}
