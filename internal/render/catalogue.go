package render

import (
	"io"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// CatalogueSchema names the JSON form of a Catalogue.
const CatalogueSchema = "maxconn.catalogue/1"

// Catalogue is everything that can be explained.
type Catalogue struct {
	Schema string      `json:"schema"`
	Limits []LimitLine `json:"limits"`
	Knobs  []string    `json:"knobs"`
	Errnos []string    `json:"errnos"`
}

// LimitLine is a limit in one line.
type LimitLine struct {
	ID      string        `json:"id"`
	Title   string        `json:"title"`
	Measure limit.Measure `json:"measure"`
	Scope   limit.Scope   `json:"scope"`
}

// ListCatalogue lists limits by ID, the knobs they know, and the errnos that can be explained.
func ListCatalogue(limits []*limit.Limit) Catalogue {
	c := Catalogue{Schema: CatalogueSchema, Errnos: limit.Errnos()}
	for _, l := range limits {
		c.Limits = append(c.Limits, LimitLine{string(l.ID), l.Title, l.Measure, l.Scope})
	}
	for _, k := range knob.Rows() {
		c.Knobs = append(c.Knobs, k.Name)
	}
	slices.Sort(c.Knobs)
	c.Knobs = slices.Compact(c.Knobs)
	return c
}

// CatalogueText writes the list for a terminal.
func CatalogueText(w io.Writer, c Catalogue, style Style) error {
	s := newScreen(style)
	t := table{columns: []column{{head: "LIMIT"}, {head: "of"}, {head: "for each"},
		{head: "title", wraps: true}}}
	for _, l := range c.Limits {
		t.rows = append(t.rows, []string{l.ID, string(l.Measure), string(l.Scope), l.Title})
	}
	s.table(t)
	s.head("KNOBS")
	s.para(2, 2, text(strings.Join(c.Knobs, ", ")))
	s.head("ERRNOS")
	s.para(2, 2, text(strings.Join(c.Errnos, ", ")))
	s.blank()
	s.para(0, 2, text(
		`"maxconn explain WORD" explains each of them, and "maxconn explain 'LOG LINE'" says which limit a log line or an error means.`))
	return s.flush(w)
}

// CatalogueJSON writes the list in its stable form.
func CatalogueJSON(w io.Writer, c Catalogue) error { return writeJSON(w, c) }

// CatalogueMarkdown writes the list as tables.
func CatalogueMarkdown(w io.Writer, c Catalogue) error {
	m := &markdown{}
	m.heading(2, "Limits")
	var rows [][]md
	for _, l := range c.Limits {
		rows = append(rows, []md{code(l.ID), prose(string(l.Measure)),
			prose(string(l.Scope)), prose(l.Title)})
	}
	m.table([]md{"limit", "of", "for each", "title"}, rows)
	m.heading(2, "Knobs")
	m.items(codes(c.Knobs)...)
	m.heading(2, "Errnos")
	m.items(codes(c.Errnos)...)
	return m.flush(w)
}

func codes(words []string) []md {
	out := make([]md, len(words))
	for i, w := range words {
		out[i] = code(w)
	}
	return out
}
