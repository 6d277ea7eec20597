package host

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
