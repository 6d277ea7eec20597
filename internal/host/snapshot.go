package host

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Snapshot is all readings of one subject at one time. The zero value is
// empty and ready to use. It is not safe for concurrent writing.
type Snapshot struct {
	readings map[Fact]Reading
	names    map[Kind][]string // of readings, so that a table is read without looking at all
}

// Set records the text of a fact.
func (s *Snapshot) Set(f Fact, text string) { s.put(f, Reading{Text: text}) }

// Miss records why a fact could not be read. A text already there stays:
// knowing beats not knowing.
func (s *Snapshot) Miss(f Fact, why string) {
	if have, ok := s.readings[f]; ok && have.Err == "" {
		return
	}
	s.put(f, Reading{Err: why})
}

func (s *Snapshot) put(f Fact, r Reading) {
	if s.readings == nil {
		s.readings, s.names = make(map[Fact]Reading), make(map[Kind][]string)
	}
	if _, known := s.readings[f]; !known {
		s.names[f.Kind] = append(s.names[f.Kind], f.Name)
	}
	s.readings[f] = r
}

// Lookup returns the reading of a fact, and whether the snapshot has any.
func (s Snapshot) Lookup(f Fact) (Reading, bool) {
	r, ok := s.readings[f]
	return r, ok
}

// Len is the number of facts, unreadable ones included.
func (s Snapshot) Len() int { return len(s.readings) }

// Facts lists what the snapshot holds, sorted by kind and name.
func (s Snapshot) Facts() []Fact {
	return slices.SortedFunc(maps.Keys(s.readings), compare)
}

// Unread lists the facts that carry a reason instead of a text, sorted.
func (s Snapshot) Unread() []Fact {
	var out []Fact
	for f, r := range s.readings {
		if r.Err != "" {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, compare)
	return out
}

// With is a copy in which the settings hold: the host as it would be.
// A setting of one field ("row#field") changes that field of an existing row.
func (s Snapshot) With(settings ...Setting) Snapshot {
	c := Snapshot{readings: maps.Clone(s.readings), names: maps.Clone(s.names)}
	for k, names := range c.names {
		c.names[k] = slices.Clip(names) // the copy appends to one of its own
	}
	for _, set := range settings {
		row, field, isField := strings.Cut(set.Fact.Name, "#")
		if !isField {
			c.Set(set.Fact, set.Want)
			continue
		}
		f := Fact{set.Fact.Kind, row}
		if r, ok := c.readings[f]; ok && r.Err == "" {
			c.Set(f, parseFields(r.Text).with(field, set.Want).String())
		}
	}
	return c
}

// Read returns a reader that keeps account of what was used.
func (s Snapshot) Read() *Reader { return &Reader{snapshot: s, used: map[Fact]bool{}} }

// Hide takes a fact's text away and leaves the reason. Observing code uses Miss;
// this is for tests and redaction.
func (s *Snapshot) Hide(f Fact, why string) { s.put(f, Reading{Err: why}) }

// Row is one row of a table.
type Row struct {
	Fact   Fact
	Fields Fields
}

// Name is the row's key in its table.
func (r Row) Name() string { return r.Fact.Name }

// Text is a field's value, or "" where the row lacks it.
func (r Row) Text(field string) string {
	v, _ := r.Fields.Lookup(field)
	return v
}

// Int is a field as a whole number, and whether it is there and is one.
func (r Row) Int(field string) (int64, bool) {
	v, ok := r.Fields.Lookup(field)
	if !ok {
		return 0, false
	}
	return parseInt(v)
}

// Count is a field that is absent when there is nothing to count: the number
// of sockets in a state.
func (r Row) Count(field string) int64 {
	n, _ := r.Int(field)
	return n
}

// Sockets is the sum over all states of a row of connections.
func (r Row) Sockets() (n int64) {
	for _, s := range States {
		n += r.Count(s)
	}
	return n
}

// Age is a length of time in coarse steps. Waiting times differ from one reading to the
// next; steps keep two snapshots of a quiet host equal, and claim no accuracy that nobody
// needs.
type Age string

// ages are the steps, longest first.
var ages = []struct {
	least time.Duration
	age   Age
}{
	{time.Hour, "1h"}, {10 * time.Minute, "10m"}, {time.Minute, "1m"},
	{10 * time.Second, "10s"}, {2 * time.Second, "2s"}, {0, "0s"},
}

// AgeOf is the longest step that d reaches.
func AgeOf(d time.Duration) Age {
	for _, a := range ages {
		if d >= a.least {
			return a.age
		}
	}
	return "0s"
}

// Below is what the age has not reached, 0 where nothing is known of that.
func (a Age) Below() time.Duration {
	for i, x := range ages {
		if x.age == a && i > 0 {
			return ages[i-1].least
		}
	}
	return 0
}

// AtLeast says whether the age is known and reaches d.
func (a Age) AtLeast(d time.Duration) bool {
	for _, x := range ages {
		if x.age == a {
			return x.least >= d
		}
	}
	return false
}
