package procfs

import (
	"math"
	"slices"
	"strings"
)

// Table is a file of /proc/net/stat such as nf_conntrack, arp_cache or
// ndisc_cache: a header and one row for each CPU the host may have. The cells
// of nf_conntrack are 32 bits wide and wrap, so a change between two readings
// is to be taken row by row.
type Table struct {
	Columns []string
	Rows    [][]uint64 // each as long as Columns
}

// Total returns the figure of a column for the whole table, or false where this
// kernel has no such column. That is the sum over the CPUs, but for "entries":
// the kernel prints the size of the one table on every row (net/netfilter/
// nf_conntrack_standalone.c ct_cpu_seq_show, net/core/neighbour.c
// neigh_stat_seq_show), and Total returns it once. A sum stops at 2^64-1.
func (t *Table) Total(column string) (uint64, bool) {
	i := slices.Index(t.Columns, column)
	if i < 0 || len(t.Rows) == 0 {
		return 0, false
	}
	if column == "entries" {
		return t.Rows[0][i], true
	}
	var sum uint64
	for _, row := range t.Rows {
		if sum > math.MaxUint64-row[i] {
			return math.MaxUint64, true
		}
		sum += row[i]
	}
	return sum, true
}

// ParseTable reads a file of /proc/net/stat. Every row must have a value for
// every column of the header.
func ParseTable(b []byte) (*Table, error) {
	l, err := wholeLines("per-CPU table", b)
	if err != nil {
		return nil, err
	}
	head, _ := l.next()
	t := &Table{Columns: strings.Fields(head)}
	if err := l.columnNames(t.Columns); err != nil {
		return nil, err
	}
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		row, err := l.hexRow(line)
		if err != nil {
			return nil, err
		}
		if len(row) != len(t.Columns) {
			return nil, l.errorf("%d values for %d columns", len(row), len(t.Columns))
		}
		t.Rows = append(t.Rows, row)
	}
	if len(t.Rows) == 0 {
		return nil, l.wholef("no row follows the header")
	}
	return t, nil
}

// columnNames wants names, and each once: a header that is a row of numbers
// would otherwise become columns that nobody asks for.
func (l *lines) columnNames(names []string) error {
	if len(names) == 0 {
		return l.errorf("no column names")
	}
	for i, name := range names {
		if !isName(name) {
			return l.errorf("%s is not the name of a column", clip(name))
		}
		if slices.Contains(names[:i], name) {
			return l.errorf("column %s appears twice", clip(name))
		}
	}
	return nil
}
