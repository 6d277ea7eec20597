package limit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/near"
)

// KnobUse is a knob and a limit that it acts on, or is believed to act on.
type KnobUse struct {
	Limit *Limit
	Knob  Knob
}

// FindKnobs finds the knobs that a word names: the whole name, with "." or "/" between its parts, as a path
// below /proc/sys, with "= value" behind it, or the last parts of it (tcp_fin_timeout). Several limits may
// know the same knob, and several knobs may share last parts (gc_thresh3). Sorted by name, then by limit.
func FindKnobs(word string) []KnobUse {
	whole, name := strings.ToLower(strings.TrimSpace(word)), knobName(word)
	if name == "" {
		return nil
	}
	exact := knobsWhere(func(k string) bool { return k == name || k == whole })
	if exact != nil {
		return exact
	}
	return knobsWhere(func(k string) bool {
		words := strings.Fields(k)
		return strings.HasSuffix(k, "."+name) || (len(words) > 1 && (words[0] == name || words[len(words)-1] == name))
	})
}

// knobName is how the catalogue would write what a user or a sysctl.d file writes.
func knobName(word string) string {
	name, _, _ := strings.Cut(strings.ToLower(word), "=")
	name = strings.TrimPrefix(strings.TrimSpace(name), "-") // sysctl.d: errors of this key are ignored
	if rest, ok := strings.CutPrefix(name, knob.Dir); ok {
		return knob.KeyAt(rest)
	}
	return knob.Key(name)
}

func knobsWhere(match func(lower string) bool) (uses []KnobUse) {
	for _, l := range Catalogue() {
		for _, k := range l.Knobs {
			if match(strings.ToLower(k.Name)) {
				uses = append(uses, KnobUse{l, k})
			}
		}
	}
	slices.SortStableFunc(uses, func(a, b KnobUse) int { return strings.Compare(a.Knob.Name, b.Knob.Name) })
	return uses
}

// Suggest lists up to three things that the catalogue knows and that are spelled alike: limits, knobs,
// errnos, nearest first.
func Suggest(text string) []string {
	n := newNearest(text)
	for _, l := range Catalogue() {
		n.offer(string(l.ID), string(l.ID))
		for _, k := range l.Knobs {
			lower := strings.ToLower(k.Name)
			n.offer(k.Name, lower)
			n.offer(k.Name, lower[strings.LastIndexByte(lower, '.')+1:])
		}
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
	alike := d <= max(2, len(n.text)/4) || (len(n.text) >= 4 && strings.Contains(spelled, n.text))
	if was, ok := n.best[name]; alike && (!ok || d < was) {
		n.best[name] = d
	}
}

func (n nearest) names() []string {
	all := slices.SortedFunc(maps.Keys(n.best), func(a, b string) int { return cmp.Or(cmp.Compare(n.best[a], n.best[b]), strings.Compare(a, b)) })
	return all[:min(3, len(all))]
}
