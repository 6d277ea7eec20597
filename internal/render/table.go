package render

import (
	"slices"
	"strings"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // figures are aligned at their last digit
	joins bool // stands on the line of the column before where the table is too wide
	names bool // tells more of the row's name
	spare bool // left out where it is empty, and where the table is too wide with it
	wraps bool // the first and last column may: their words are broken over lines
}

// table is rows of words under heads. The first column names the row.
type table struct {
	columns []column
	rows    [][]string
}

// gap is the space between columns.
const gap = 2

// narrowestCell is the least width of a cell whose words are broken over lines.
const narrowestCell = 16

// table writes columns where they fit the width, without the spare ones and those that say
// the same in each row where that helps, or else a few lines a row.
func (s *screen) table(t table) {
	whole := t.without(func(c column, i int) bool { return c.spare && t.empty(i) })
	t = whole.without(func(c column, _ int) bool {
		return c.spare && !c.wraps && whole.width() > s.style.Width
	})
	t, same := t.folded(s.style.Width)
	t, widths := t.narrowed(s.style.Width)
	if sum(widths) > s.style.Width+gap {
		s.stacked(whole)
		return
	}
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
	}
	s.b.WriteString(s.paintLine(bold, t.aligned(heads, widths)))
	for _, row := range t.rows {
		for _, line := range s.broken(t, row, widths) {
			s.b.WriteString(s.paintLine(plain, t.aligned(line, widths)))
		}
	}
	for _, words := range same {
		s.line(2, span{words, dim})
	}
}

// narrowed breaks the words of the last column where that is needed and may be, leaves it out where
// it is spare and nothing but that helps, and breaks those of the first.
func (t table) narrowed(width int) (table, []int) {
	widths, last := t.widths(), len(t.columns)-1
	if t.columns[last].wraps {
		widths[last] = min(widths[last], max(narrowestCell, width-sum(widths[:last])))
	}
	if sum(widths) > width+gap && t.columns[last].wraps && t.columns[last].spare {
		t = t.without(func(_ column, i int) bool { return i == last })
		widths = widths[:last]
	}
	if others := sum(widths[1:]) + gap; t.columns[0].wraps && sum(widths) > width+gap {
		widths[0] = max(narrowestCell, width+gap-others)
	}
	return t, widths
}

// folded is the table without columns that say the same in each row, and what they say, if
// it fits then.
func (t table) folded(width int) (narrow table, same []string) {
	narrow = t
	for i := len(t.columns) - 1; i > 0 && narrow.width() > width; i-- {
		words, ok := t.constant(i)
		if !t.columns[i].joins || !ok {
			continue
		}
		narrow = narrow.without(func(_ column, j int) bool { return j == i })
		same = append([]string{t.columns[i-1].head + " is " + t.columns[i].head + " " +
			words}, same...)
	}
	if narrow.width() > width {
		return t, nil
	}
	return narrow, same
}

// constant is what a column says in each row that says anything, if that is one thing.
func (t table) constant(i int) (words string, ok bool) {
	for _, row := range t.rows {
		switch {
		case row[i] == "" || row[i] == words:
		case words == "":
			words = row[i]
		default:
			return "", false
		}
	}
	return words, words != ""
}

// broken is a row as lines: several where its first or last cell wraps.
func (s *screen) broken(t table, row []string, widths []int) (lines [][]string) {
	at := func(i int) []string {
		for i >= len(lines) {
			lines = append(lines, make([]string, len(row)))
		}
		return lines[i]
	}
	copy(at(0), row)
	for column, cell := range row {
		if !t.columns[column].wraps {
			continue
		}
		for i, words := range (&screen{}).wrapped(widths[column], []span{text(cell)}) {
			at(i)[column] = words
		}
	}
	return lines
}

func (s *screen) paintLine(p paint, line string) string {
	return strings.TrimRight(s.string([]span{{line, p}}), " ") + "\n"
}

func (t table) aligned(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range t.columns {
		cell := Clean(cells[i])
		pad := strings.Repeat(" ", widths[i]-wide(cell))
		if c.right {
			cell = pad + cell
		} else {
			cell += pad
		}
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		b.WriteString(cell)
	}
	return strings.TrimRight(b.String(), " ")
}

func (t table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = wide(Clean(c.head))
		for _, row := range t.rows {
			widths[i] = max(widths[i], wide(Clean(row[i])))
		}
	}
	return widths
}

func (t table) width() int { return sum(t.widths()) - gap }

// sum is the width of columns with a gap behind each.
func sum(widths []int) (n int) {
	for _, w := range widths {
		n += w + gap
	}
	return n
}

func (t table) empty(i int) bool {
	return !slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" })
}

// without is the table without some columns.
func (t table) without(drop func(column, int) bool) table {
	out := table{rows: make([][]string, len(t.rows))}
	for i, c := range t.columns {
		if drop(c, i) {
			continue
		}
		out.columns = append(out.columns, c)
		for j, row := range t.rows {
			out.rows[j] = append(out.rows[j], row[i])
		}
	}
	return out
}

// stacked writes each row as its name and a line for each figure.
func (s *screen) stacked(t table) {
	s.line(0, span{t.columns[0].head, bold})
	labels := 0
	for _, c := range t.columns[1:] {
		if !c.joins && !c.names {
			labels = max(labels, wide(c.head))
		}
	}
	for _, row := range t.rows {
		s.para(0, 2, text(t.rowName(row)))
		for i := 1; i < len(t.columns); i++ {
			if t.columns[i].names {
				continue
			}
			label, words := t.columns[i].head, []string{row[i]}
			for i+1 < len(t.columns) && t.columns[i+1].joins {
				i++
				words = append(words, row[i])
			}
			if said := strings.Join(words, "  "); strings.TrimSpace(said) != "" {
				s.labelled(2, label, 2+labels+gap, text(said))
			}
		}
	}
}

// rowName is the first cell and those that tell more of it.
func (t table) rowName(row []string) string {
	name := row[0]
	for i, c := range t.columns {
		if c.names && row[i] != "" {
			name += ", "
			if row[i] == notSeen {
				name += c.head + " "
			}
			name += row[i]
		}
	}
	return name
}
