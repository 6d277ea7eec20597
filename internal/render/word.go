package render

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Word is something that maxconn prints besides limits, settings and errnos: a counter, a fact, a
// state, a verdict, a unit.
type Word struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Means string `json:"means"`
	Value string `json:"value,omitempty"` // of a counter or fact, on this host
	// Limits are those that read it.
	Limits []string `json:"limits"`
}

//go:embed words.txt
var wordsText string

// glossary reads the list once.
var glossary = sync.OnceValue(func() (words []Word) {
	for line := range strings.Lines(wordsText) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 3 {
			for name := range strings.SplitSeq(f[1], "|") {
				words = append(words, Word{Kind: f[0], Name: name, Means: f[2]})
			}
		}
	}
	return words
})

// findWords are the words that a query names as a whole: as maxconn writes them, or as ss, netstat
// and nstat do (CLOSE-WAIT, TcpExtListenDrops).
func findWords(query string, s host.Snapshot) (found []Word) {
	query = strings.TrimSpace(query)
	for _, w := range glossary() {
		if folded(w.Name) == folded(query) ||
			w.Kind == "counter" && namesCounter(w.Name, query) {
			found = append(found, w.of(query, s))
		}
	}
	if len(found) > 0 {
		return found
	}
	return factWords(query, s)
}

// folded is a name without what spellings differ in.
func folded(name string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(strings.ToLower(name))
}

// namesCounter takes TcpExt.ListenDrops, TcpExtListenDrops and ListenDrops.
func namesCounter(name, query string) bool {
	_, last, _ := strings.Cut(name, ".")
	return strings.EqualFold(strings.ReplaceAll(name, ".", ""), strings.ReplaceAll(query, ".",
		"")) || strings.EqualFold(last, query)
}

// factWords reads the name of a fact, which begins with its kind and may end in a field.
func factWords(query string, s host.Snapshot) (found []Word) {
	kind, rest, ok := strings.Cut(query, " ")
	i := slices.IndexFunc(glossary(), func(w Word) bool {
		return w.Kind == "fact" && w.Name == kind
	})
	if !ok || i < 0 {
		return nil
	}
	field := rest[strings.LastIndexByte(rest, ' ')+1:]
	for _, w := range glossary() {
		if (w.Kind == "fact" || w.Kind == "state") &&
			slices.Contains([]string{"*" + field, field}, w.Name) ||
			w.Name == glossary()[i].Name+" "+field {
			found = append(found, w.of(query, s))
		}
	}
	if len(found) == 0 {
		w := glossary()[i]
		found = append(found, w.of(query, s))
	}
	return found
}

// of adds what the host and the catalogue have of the word, under the name that was asked for.
func (w Word) of(query string, s host.Snapshot) Word {
	w.Limits = []string{}
	f := host.Fact{Kind: host.Kind(w.Kind), Name: w.Name}
	if w.Kind == "fact" {
		kind, name, _ := strings.Cut(query, " ")
		w.Name, f = query, host.Fact{Kind: host.Kind(kind), Name: name}
	}
	for _, l := range limit.Catalogue() {
		if slices.Contains(l.Needs, f) {
			w.Limits = append(w.Limits, string(l.ID))
		}
	}
	if r, ok := s.Lookup(f); ok && r.Err == "" {
		w.Value = r.Text
	}
	return w
}

// wordsIn are the counters that a text names.
func wordsIn(text string, s host.Snapshot) (found []Word) {
	for _, token := range strings.FieldsFunc(text, isBetween) {
		for _, w := range glossary() {
			if w.Kind == "counter" && strings.HasPrefix(token, "Tcp") &&
				namesCounter(w.Name, token) {
				found = append(found, w.of(token, s))
			}
		}
	}
	return found
}
