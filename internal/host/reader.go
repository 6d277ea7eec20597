package host

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Reader reads a snapshot for a formula. The first error sticks: after it,
// numbers are zero and the formula's result must be thrown away (see Err).
// Used tells which facts the result stands on. Not for concurrent use.
type Reader struct {
	snapshot Snapshot
	used     map[Fact]bool
	missed   map[Fact]string
	err      error
}

// Err is the first error, a *Missing or a *Malformed.
func (r *Reader) Err() error { return r.err }

// Used lists all facts that were asked for, sorted: the provenance. A table counts
// as its kind with the name "*".
func (r *Reader) Used() []Fact { return slices.SortedFunc(maps.Keys(r.used), compare) }

// Missed lists the facts that a formula asked for and went on without, sorted. Has and Why
// only ask whether there is one.
func (r *Reader) Missed() (out []Missing) {
	for _, f := range slices.SortedFunc(maps.Keys(r.missed), compare) {
		out = append(out, Missing{f, r.missed[f]})
	}
	return out
}

// miss notes a fact that was asked for in vain. A snapshot of one sample has no window.
func (r *Reader) miss(f Fact, why string) {
	if f == System("window") {
		return
	}
	if r.missed == nil {
		r.missed = map[Fact]string{}
	}
	r.missed[f] = why
}

// Has says whether a fact can be read; asking is not an error.
func (r *Reader) Has(f Fact) bool {
	r.used[f] = true
	x, ok := r.snapshot.Lookup(f)
	return ok && x.Err == ""
}

// Why is the reason that a fact cannot be read, or "".
func (r *Reader) Why(f Fact) string {
	r.used[f] = true
	_, err := r.lookup(f)
	var m *Missing
	if errors.As(err, &m) {
		return m.Why
	}
	return ""
}

// Text is the text of a fact.
func (r *Reader) Text(f Fact) string {
	r.used[f] = true
	text, err := r.lookup(f)
	r.stick(err)
	return text
}

// Optional is the text of a fact, or "" where it cannot be read.
func (r *Reader) Optional(f Fact) string {
	r.used[f] = true
	text, err := r.lookup(f)
	r.missing(err)
	return text
}

// Int is the fact as a whole number. Unsigned values beyond 2^63-1 are that
// number (fs.file-max and memory limits use them for "no limit").
func (r *Reader) Int(f Fact) int64 {
	text := r.Text(f)
	if r.err != nil {
		return 0
	}
	n, ok := parseInt(text)
	if !ok {
		r.stick(&Malformed{f, text, "a whole number"})
	}
	return n
}

// Maybe is the fact as a whole number, and whether it is there and is one.
// Nothing sticks: use it for facts that only sharpen a verdict.
func (r *Reader) Maybe(f Fact) (int64, bool) {
	r.used[f] = true
	text, err := r.lookup(f)
	if r.missing(err); err != nil {
		return 0, false
	}
	n, ok := parseInt(text)
	if !ok {
		r.miss(f, "its text is not a whole number")
	}
	return n, ok
}

// Ints is the fact as whole numbers, exactly n of them.
func (r *Reader) Ints(f Fact, n int) []int64 {
	text := r.Text(f)
	out := make([]int64, n)
	if r.err != nil {
		return out
	}
	words := strings.Fields(text)
	for i := range min(n, len(words)) {
		v, ok := parseInt(words[i])
		if !ok {
			words = nil
			break
		}
		out[i] = v
	}
	if len(words) != n {
		r.stick(&Malformed{f, text, strconv.Itoa(n) + " whole numbers"})
	}
	return out
}

// Pair is a fact of two whole numbers, such as ip_local_port_range.
func (r *Reader) Pair(f Fact) (low, high int64) {
	v := r.Ints(f, 2)
	return v[0], v[1]
}

// Ports is a port list, such as ip_local_reserved_ports. Empty text is the
// empty set.
func (r *Reader) Ports(f Fact) PortSet {
	text := r.Text(f)
	set, err := ParsePorts(text)
	if err != nil {
		r.stick(&Malformed{f, text, "a list of ports"})
	}
	return set
}

// Table lists the rows of a kind, sorted by name. An unreadable table is an
// error; a table that could be read in part is not: see Partial.
func (r *Reader) Table(k Kind) []Row {
	rows := r.Rows(k)
	if rows == nil {
		if x, ok := r.snapshot.Lookup(All(k)); ok {
			r.stick(&Missing{All(k), x.Err})
		}
	}
	return rows
}

// Rows lists the rows of a kind that could be read, sorted by name: for tables of which
// one always sees what one may, such as processes.
func (r *Reader) Rows(k Kind) []Row {
	rest := All(k)
	r.used[rest] = true
	var rows []Row
	for _, name := range r.snapshot.names[k] {
		f := Fact{k, name}
		switch x := r.snapshot.readings[f]; {
		case x.Err != "":
			r.miss(f, x.Err)
		case f != rest:
			rows = append(rows, r.row(f, x.Text))
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return strings.Compare(a.Fact.Name, b.Fact.Name)
	})
	return rows
}

// row notes the fields that every row of its table has and this one lacks.
func (r *Reader) row(f Fact, text string) Row {
	row := Row{f, parseFields(text)}
	for _, name := range always[f.Kind] {
		if _, ok := row.Fields.Lookup(name); !ok {
			r.miss(Fact{f.Kind, f.Name + "#" + name}, "the row does not have it")
		}
	}
	return row
}

// Partial is the reason why rows of a table are missing, or "".
func (r *Reader) Partial(k Kind) string {
	if x, _ := r.snapshot.Lookup(All(k)); x.Err != "" {
		return x.Err
	}
	for _, name := range r.snapshot.names[k] {
		if x := r.snapshot.readings[Fact{k, name}]; x.Err != "" {
			return x.Err
		}
	}
	return ""
}

// Row is one row of a table, and whether it is there.
func (r *Reader) Row(k Kind, name string) (Row, bool) {
	r.used[All(k)] = true
	f := Fact{k, name}
	x, ok := r.snapshot.Lookup(f)
	if x.Err != "" {
		r.miss(f, x.Err)
	}
	if !ok || x.Err != "" {
		return Row{}, false
	}
	return r.row(f, x.Text), true
}

// Moved is by how much a fact, or a field of a row, changed during the window, or between
// the two looks at some counters (Glance). ok is false where neither was, or the fact could not
// be read; (0, true) means that it stood still, or was looked at once.
func (r *Reader) Moved(f Fact, field ...string) (delta int64, ok bool) {
	r.used[f] = true
	if !r.Has(System("window")) && !r.Has(System("glance")) {
		return 0, false
	}
	name := strings.Join(append([]string{string(f.Kind), f.Name}, field...), "/")
	moved := Fact{MovedKind, name}
	x, known := r.snapshot.Lookup(moved)
	if _, err := r.lookup(f); err != nil && !known {
		r.missing(err)
		return 0, false
	}
	if x.Err != "" {
		r.miss(moved, x.Err)
		return 0, false
	}
	delta, _ = parseInt(x.Text)
	return delta, true
}

func (r *Reader) lookup(f Fact) (string, error) {
	x, ok := r.snapshot.Lookup(f)
	switch {
	case !ok:
		return "", &Missing{f, NotInSnapshot}
	case x.Err != "":
		return "", &Missing{f, x.Err}
	}
	return x.Text, nil
}

// missing notes the fact of an error of lookup.
func (r *Reader) missing(err error) {
	var m *Missing
	if errors.As(err, &m) {
		r.miss(m.Fact, m.Why)
	}
}

func (r *Reader) stick(err error) {
	if r.err == nil {
		r.err = err
	}
}

// parseInt reads a whole number, and clamps unsigned ones beyond 2^63-1.
func parseInt(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n, true
	}
	if errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(text, "-") {
		return n, true // ParseInt gives the nearest value
	}
	return 0, false
}
