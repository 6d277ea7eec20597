package render

import (
	"io"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
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

// LimitsDoc writes docs/limits.md: the whole catalogue, one section a limit with its ID as
// the anchor. It depends on the catalogue alone.
func LimitsDoc(w io.Writer, limits []*limit.Limit) error {
	m := &markdown{}
	m.b.Write("<!-- Generated from internal/limit by go generate ./cmd/maxconn; do not " +
		"edit. -->\n")
	m.heading(1, "Limits")
	m.paragraph("Everything finite that TCP connections use up on Linux, as `maxconn " +
		"explain` tells it. " +
		"A ceiling counts connections held at one time, new connections per second, or " +
		"connections at once (a burst); the three are never compared.")
	var rows [][]md
	for _, l := range limits {
		id := prose(string(l.ID))
		rows = append(rows, []md{"[" + id + "](#" + id + ")", prose(string(l.Measure)),
			prose(string(l.Scope)), prose(l.Title)})
	}
	m.table([]md{"limit", "of", "for each", "title"}, rows)
	for _, l := range limits {
		m.heading(2, prose(string(l.ID)))
		m.limitPage(limitPage(l, host.Snapshot{}))
	}
	return m.flush(w)
}

// KnobPage is a setting: its value, whether this kernel has it, what it does, and the limits that
// know it.
type KnobPage struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // "" where unknown or empty: see Unread
	Known  bool   `json:"known"`            // the value was read
	Unread string `json:"unread,omitempty"` // why the value is not known
	Lacks  string `json:"lacks,omitempty"`  // why this kernel does not have it
	Facts
	Uses []KnobUse `json:"uses"`
}

// Facts are what is known of a setting on any host.
type Facts struct {
	Does   string `json:"does"`
	Not    string `json:"does_not,omitempty"`
	Since  string `json:"since,omitempty"`
	Until  string `json:"until,omitempty"`
	Source string `json:"source"`
}

// KnobUse is a limit that a setting acts on, or is believed to.
type KnobUse struct {
	Limit string `json:"limit"`
	Facts
}

// knobPage is all about a setting; the limits are those that name it, or the one that is given.
func knobPage(k *knob.Knob, s host.Snapshot, limits ...*limit.Limit) KnobPage {
	p := KnobPage{Name: k.Name, Facts: factsOf(k), Uses: []KnobUse{}}
	for _, l := range limits {
		p.Uses = append(p.Uses, KnobUse{string(l.ID), p.Facts})
	}
	r, seen := s.Lookup(host.Sysctl(p.Name))
	p.Known = seen && r.Err == ""
	if p.Known {
		p.Value = r.Text
		return p
	}
	p.Lacks, p.Unread = lacks(s.Read().Kernel(), k.Since, k.Until), r.Err
	return p
}

func factsOf(k *knob.Knob) Facts {
	f := Facts{Does: k.Says(), Not: k.Not, Source: k.Source}
	if !k.Since.None() {
		f.Since = k.Since.By.String()
	}
	if !k.Until.None() {
		f.Until = k.Until.By.String()
	}
	return f
}

// lacks says that a kernel is older than what a knob came with, or newer than what it went with.
func lacks(kernel host.Release, since, until knob.Span) string {
	if !kernel.Known() {
		return ""
	}
	came, sure := since.Reached(kernel)
	gone, _ := until.Reached(kernel)
	switch {
	case !since.None() && !came && sure:
		return "it came with " + since.String() + ", this is " + kernel.String()
	case !until.None() && gone:
		return "it is gone since " + until.String() + ", this is " + kernel.String()
	}
	return ""
}
