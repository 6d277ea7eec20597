package procfs

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// ParseCounters reads /proc/net/netstat or /proc/net/snmp: pairs of lines, one
// with the names of a protocol's counters and one with their values. It calls
// each for every counter in the order of the file. A value is the kernel's own
// decimal text: up to 2^64-1, and negative where the kernel says so (MaxConn
// is -1).
//
// Names are not interpreted: they grow in the middle of a line from release to
// release. One protocol may have several pairs (IcmpMsg prints 16 message types
// a pair; net/ipv4/proc.c icmpmsg_put). A pair that is not well formed is
// skipped whole and named in the error; the others are delivered.
func ParseCounters(b []byte, each func(proto, name, value string)) error {
	l := newLines("snmp counters", b)
	if len(b) == 0 {
		return l.wholef("is empty")
	}
	var bad failures
	for {
		head, ok := l.next()
		if !ok {
			return bad.orNil()
		}
		if err := l.pair(head, each); err != nil {
			bad = append(bad, err)
		}
	}
}

// pair reads the values that follow a header line. Values that are missing are
// not consumed, so that the next pair can still be read.
func (l *lines) pair(head string, each func(proto, name, value string)) error {
	proto, rest, ok := strings.Cut(head, ":")
	if !ok || !isName(proto) {
		return l.errorf("%s is not a header line", clip(head))
	}
	names := strings.Fields(rest)
	for _, name := range names {
		if !isName(name) {
			return l.errorf("%s: %s is not the name of a counter", clip(proto),
				clip(name))
		}
	}
	line, ok := l.peek()
	text, same := strings.CutPrefix(line, proto+":")
	values := strings.Fields(text)
	if !ok || !same || len(values) > 0 && isName(values[0]) {
		return l.errorf("%s: no values follow the header", clip(proto))
	}
	l.next()
	return l.deliver(proto, names, values, each)
}

func (l *lines) deliver(proto string, names, values []string,
	each func(proto, name, value string)) error {
	if l.cut {
		return l.errorf("%s: cut short: no newline at the end", clip(proto))
	}
	if len(names) != len(values) {
		return l.errorf("%s: %d values for %d names", clip(proto), len(values), len(names))
	}
	for i, value := range values {
		if !isInteger(value) {
			return l.errorf("%s: %s is %s, want a number", clip(proto), names[i],
				clip(value))
		}
	}
	for i, value := range values {
		each(proto, names[i], value)
	}
	return nil
}

// Protocol is one row of /proc/net/protocols.
type Protocol struct {
	Name    string // "TCP", "TCPv6", "UDP", ...
	Size    uint64 // bytes of the socket object; its slab cache pads that a little
	Sockets int64  // in use in this network namespace
	Memory  int64  // pages of buffers on the host; see HasMemory

	// HasMemory is false for a protocol that does not account its buffers;
	// the kernel prints -1 then.
	HasMemory bool

	// Pressure is "yes", "no", or "NI" where there is no such state.
	Pressure string
}

// Protocols are the rows of /proc/net/protocols. Anyone may read it, so it is
// where a user without root learns the size of a TCP socket.
type Protocols []Protocol

// Named returns the row of a protocol, or false where this kernel has none.
func (p Protocols) Named(name string) (Protocol, bool) {
	i := slices.IndexFunc(p, func(row Protocol) bool { return row.Name == name })
	if i < 0 {
		return Protocol{}, false
	}
	return p[i], true
}

// protocolColumns are those that ParseProtocols reads, in Protocol's order.
var protocolColumns = [...]string{"protocol", "size", "sockets", "memory", "press"}

// ParseProtocols reads /proc/net/protocols, its columns by the name in the
// header (net/core/sock.c proto_seq_show). Other columns are skipped.
func ParseProtocols(b []byte) (Protocols, error) {
	l, err := wholeLines("protocols", b)
	if err != nil {
		return nil, err
	}
	head, _ := l.next()
	names := strings.Fields(head)
	var at [len(protocolColumns)]int
	for i, name := range protocolColumns {
		if at[i] = slices.Index(names, name); at[i] < 0 {
			return nil, l.errorf("%s has no column %s", clip(head), name)
		}
	}
	var all Protocols
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		row, err := l.protocol(strings.Fields(line), at)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	if len(all) == 0 {
		return nil, l.wholef("no row follows the header")
	}
	return all, nil
}

func (l *lines) protocol(words []string, at [len(protocolColumns)]int) (Protocol, error) {
	var cell [len(protocolColumns)]string
	for i, place := range at {
		if place >= len(words) {
			return Protocol{}, l.errorf("%d columns, want %d or more", len(words),
				place+1)
		}
		cell[i] = words[place]
	}
	row := Protocol{Name: cell[0], Pressure: cell[4]}
	var err error
	if row.Size, err = l.number("size", cell[1]); err != nil {
		return Protocol{}, err
	}
	if row.Sockets, err = l.signed("sockets", cell[2]); err != nil {
		return Protocol{}, err
	}
	if row.Memory, err = l.signed("memory", cell[3]); err != nil {
		return Protocol{}, err
	}
	if row.HasMemory = row.Memory >= 0; !row.HasMemory {
		row.Memory = 0
	}
	return row, nil
}

func (l *lines) signed(what, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, l.errorf("%s is %s, want a number", what, clip(text))
	}
	return n, nil
}

// ParseSockstat reads /proc/net/sockstat or sockstat6: lines such as
// "TCP: inuse 5 orphan 0 tw 0 alloc 6 mem 1". It calls each for every number
// in the order of the file, with the kernel's own text. A line that is not well
// formed is skipped whole and named in the error; the others are delivered.
//
// inuse and tw are of the network namespace; orphan, alloc and mem (pages) are
// of the host (net/ipv4/proc.c sockstat_seq_show). Only sockstat6 counts the
// IPv6 sockets in use.
func ParseSockstat(b []byte, each func(proto, name, value string)) error {
	l := newLines("sockstat", b)
	if len(b) == 0 {
		return l.wholef("is empty")
	}
	var bad failures
	for {
		line, ok := l.next()
		if !ok {
			return bad.orNil()
		}
		if err := l.sockstat(line, each); err != nil {
			bad = append(bad, err)
		}
	}
}

func (l *lines) sockstat(line string, each func(proto, name, value string)) error {
	proto, rest, ok := strings.Cut(line, ":")
	if !ok || !isName(proto) {
		return l.errorf("%s does not begin with a protocol", clip(line))
	}
	if l.cut {
		return l.errorf("%s: cut short: no newline at the end", clip(proto))
	}
	words := strings.Fields(rest)
	if len(words)%2 != 0 {
		return l.errorf("%s: %s has no value", clip(proto), clip(words[len(words)-1]))
	}
	for i := 0; i < len(words); i += 2 {
		if !isName(words[i]) || !isInteger(words[i+1]) {
			return l.errorf("%s: %s %s is not a name and a number", clip(proto),
				clip(words[i]), clip(words[i+1]))
		}
	}
	for i := 0; i < len(words); i += 2 {
		each(proto, words[i], words[i+1])
	}
	return nil
}

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
