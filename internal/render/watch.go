package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/live"
)

// Watch is what a full screen of the verb watch shows at one moment.
type Watch struct {
	Space    live.Space
	Rows     []live.Row // those that are asked for, the fullest first
	Selected int        // of Rows
	Events   []live.Event
	Status   []string // about the view itself: how often, which namespace, frozen
	Says     string   // what became of a key, or what is being typed; "": the keys
}

// WatchKeys are those of a screen, the most needed first: a narrow one has room for these.
const WatchKeys = "? help  q quit  enter explain  p plan  / filter  n netns  space freeze  w write"

// WatchFrame draws a screen of exactly so many lines, none wider than the screen.
func WatchFrame(w Watch, height int, style Style) string {
	head := newScreen(style)
	head.line(0, about(w.Space.Report.Host)...)
	head.watchVerdict(w.Space, height)
	rest := height - strings.Count(head.b.String(), "\n") - 3 // status, heads, keys
	events := eventLines(height, w.Events)
	rows := max(1, rest-events)
	first := max(0, min(w.Selected-rows/2, len(w.Rows)-rows))
	last := min(len(w.Rows), first+rows)
	status := w.Status
	if last-first < len(w.Rows) {
		status = append(slices.Clone(status), fmt.Sprintf("rows %d-%d of %d", first+1, last,
			len(w.Rows)))
	}
	head.line(0, span{strings.Join(status, "; "), dim})
	head.watchTable(w, first, last)
	for range rows - (last - first) {
		head.blank()
	}
	head.events(w.Events, events)
	head.watchFoot(w.Says)
	return clipLines(head.b.String(), height)
}

// watchFoot is the last line.
func (s *screen) watchFoot(says string) {
	if says != "" {
		s.line(0, span{says, bold})
		return
	}
	s.line(0, span{WatchKeys, dim})
}

// clipLines is exactly so many lines, without the line feed of the last one.
func clipLines(text string, n int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for len(lines) < n {
		lines = append(lines, "")
	}
	return strings.Join(lines[:n], "\n")
}

// watchVerdict is the sentence of check, on as many lines as there is room for.
func (s *screen) watchVerdict(space live.Space, height int) {
	spans := verdictSpans(space.Report)
	if space.Why != "" {
		spans = []span{{"Not surveyed", yellow}, text(": " + space.Why + "; the last " +
			"survey is of " + space.At.UTC().Format(time.TimeOnly))}
	}
	most := max(1, min(3, height/5))
	lines := s.wrapped(s.style.Width, spans)
	for i, line := range lines {
		if i == most-1 && len(lines) > most {
			s.line(0, text(ansi.Strip(strings.Join(lines[i:], " "))))
			return
		}
		s.b.WriteString(line + "\n")
	}
}

// eventLines is how many lines of a screen the events take, their head included; 0: no room.
func eventLines(height int, events []live.Event) int {
	switch {
	case height < 16:
		return 0
	case len(events) == 0:
		return 2
	}
	return max(4, height/4)
}

// events writes the latest ones into so many lines, the oldest of them first.
func (s *screen) events(all []live.Event, lines int) {
	if lines == 0 {
		return
	}
	s.line(0, span{"EVENTS", bold})
	if len(all) == 0 {
		s.line(2, span{"none so far", dim})
		return
	}
	for i := range lines - 1 {
		if i >= len(all) {
			s.blank()
			continue
		}
		e := all[i]
		paint := map[diagnose.Severity]paint{diagnose.Critical: red,
			diagnose.Warning: yellow}[e.Severity]
		s.line(0, span{e.At.UTC().Format(time.TimeOnly) + "  ", dim}, span{e.What, paint})
	}
}

// watchColumn is a column of the table of watch.
type watchColumn struct {
	head        string
	least, most int // width; 0: what the cells take
	right       bool
	cell        func(live.Row) string
	width       int
}

// The columns that give way and those that take what is left, by their place in watchColumns.
const (
	columnSubject = 1
	columnProcess = 2
	columnTrend   = 6
)

// leastSubject and leastTrend are the widths below which they say too little.
const (
	leastSubject = 12
	leastTrend   = 6
	mostTrend    = 60
	mostSubject  = 48
	mostLimit    = 17
	narrowLimit  = 15
)

func watchColumns(narrow bool) []watchColumn {
	figure := func(n int64) string { return count(n) }
	mostLimit := mostLimit
	if narrow {
		figure, mostLimit = rough, narrowLimit
	}
	return []watchColumn{
		{head: "LIMIT", most: mostLimit,
			cell: func(r live.Row) string { return string(r.Limit) }},
		{head: "SUBJECT", least: leastSubject, most: mostSubject,
			cell: func(r live.Row) string { return r.Subject }},
		{head: "PROCESS", least: 8, most: 16,
			cell: func(r live.Row) string { return r.Process }},
		{head: "NOW", right: true, cell: func(r live.Row) string {
			return figure(r.Used) + perSecond(r)
		}},
		{head: "CEILING", right: true, cell: func(r live.Row) string {
			if r.Unbounded {
				return "-"
			}
			mark := strings.TrimRight(marked(1, r.How, r.AtMost), "1")
			return mark + figure(r.Ceiling) + perSecond(r)
		}},
		{head: "%", right: true, cell: rowShare},
		{head: "60 S", least: leastTrend, most: mostTrend},
		{head: "REFUSED", right: true, cell: rowRefused},
		{head: "BINDS IN", right: true, cell: rowBinds},
	}
}

func perSecond(r live.Row) string {
	if r.Measure == limit.PerSecond {
		return "/s"
	}
	return ""
}

// rough is a count for a narrow column: 5.7M.
func rough(n int64) string {
	if n < 1_000_000 {
		return count(n)
	}
	return tickWords(float64(n))
}

// rowShare is that of the ceiling, in per cent.
func rowShare(r live.Row) string {
	switch share := 100 * r.Share(); {
	case r.Unbounded:
		return "-"
	case share > 999:
		return ">999"
	case share > 0 && share < 1:
		return "<1"
	default:
		return fmt.Sprintf("%.0f", share)
	}
}

// rowRefused is "-" where the kernel counts nothing, or was not watched for long enough.
func rowRefused(r live.Row) string {
	switch {
	case r.Refused < 0:
		return "-"
	case r.Refused == 0:
		return "0"
	case r.Refused < 10:
		return fmt.Sprintf("%.1f/s", r.Refused)
	}
	return count(int64(r.Refused+0.5)) + "/s"
}

// rowBinds is an estimate, and marked so.
func rowBinds(r live.Row) string {
	switch d, ok := r.BindsIn(); {
	case !ok:
		return ""
	case d == 0:
		return "now"
	case d < 2*time.Minute:
		return fmt.Sprintf("~%.0fs", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("~%.0fm", d.Minutes())
	default:
		return fmt.Sprintf("~%.0fh", d.Hours())
	}
}

// rowMark says how bad a row is without colour.
func rowMark(r live.Row) (mark string, p paint) {
	switch r.Severity {
	case diagnose.Critical:
		return "!!", red
	case diagnose.Warning:
		return "! ", yellow
	}
	return "  ", plain
}

// watchMargin is for the sign of the selected row and how bad a row is.
const watchMargin = 4

// watchTable writes the rows from first to last.
func (s *screen) watchTable(w Watch, first, last int) {
	columns := fitted(watchColumns(s.style.Width < 120), w.Rows,
		s.style.Width-watchMargin)
	heads := ""
	for _, c := range columns {
		heads += c.pad(c.head) + " "
	}
	s.line(0, span{strings.Repeat(" ", watchMargin) + strings.TrimRight(heads, " "), bold})
	for i := first; i < last; i++ {
		r := w.Rows[i]
		mark, paint := rowMark(r)
		chosen := " "
		if i == w.Selected {
			chosen = ">"
		}
		cells := ""
		for _, c := range columns {
			words := ""
			if c.cell == nil {
				words = sparkline(r, c.width)
			} else {
				words = c.cell(r)
			}
			cells += c.pad(words) + " "
		}
		if i == w.Selected && paint == plain {
			paint = bold
		}
		cells = mark + " " + strings.TrimRight(cells, " ")
		s.line(0, span{chosen, bold}, span{cells, paint})
	}
	if len(w.Rows) == 0 && w.Space.Why == "" {
		s.line(watchMargin, span{"no limit has a use that is asked for", dim})
	}
}

// fitted are the columns that fit, the least needed left out, with their widths.
func fitted(all []watchColumn, rows []live.Row, width int) []watchColumn {
	for i := range all {
		c := &all[i]
		c.width = wide(c.head)
		for _, r := range rows {
			if c.cell != nil {
				c.width = max(c.width, wide(Clean(c.cell(r))))
			}
		}
		c.width = min(c.width, cmp.Or(c.most, c.width))
	}
	wanted := all[columnSubject].width
	all[columnSubject].width = min(wanted, leastSubject)
	all[columnTrend].width = leastTrend
	var out []watchColumn
	left := width
	kept := map[int]bool{}
	keep := func(i int) {
		if need := all[i].width + 1; need <= left {
			left -= need
			kept[i] = true
		}
	}
	for _, i := range []int{0, columnSubject, 5, 3, 4, 7, columnTrend, 8} {
		keep(i)
	}
	grow := func(i, to int) {
		if kept[i] {
			more := max(0, min(left, to-all[i].width))
			all[i].width += more
			left -= more
		}
	}
	grow(columnSubject, min(wanted, mostSubject))
	keep(columnProcess)
	grow(columnTrend, mostTrend)
	for i, c := range all {
		if kept[i] {
			out = append(out, c)
		}
	}
	return out
}

// pad is words in the width of a column, cut where they are longer.
func (c watchColumn) pad(words string) string {
	words = Clean(words)
	if wide(words) > c.width {
		words = cutWord(words, c.width)
	}
	gap := strings.Repeat(" ", c.width-wide(words))
	if c.right {
		return gap + words
	}
	return words + gap
}

// barLevels are the heights of a sparkline.
var barLevels = []rune("▁▂▃▄▅▆▇█")

// sparkline is the use in the minute before the last survey, as a share of the ceiling, or of the
// highest use where no ceiling is known. Each cell shows the highest of its time.
func sparkline(r live.Row, width int) string {
	if len(r.Trend) == 0 {
		return ""
	}
	top := int64(1)
	if !r.Unbounded {
		top = max(top, r.Ceiling)
	}
	end := r.Trend[len(r.Trend)-1].At
	cells := make([]int64, width)
	for i := range cells {
		cells[i] = -1
	}
	for _, p := range r.Trend {
		top = max(top, p.Used)
		ago := end.Sub(p.At)
		at := width - 1 - int(ago*time.Duration(width)/time.Minute)
		if at >= 0 {
			cells[at] = max(cells[at], p.Used)
		}
	}
	out, before, n := make([]rune, width), int64(-1), int64(len(barLevels))
	for i, used := range cells {
		if used < 0 {
			used = before // no survey in this time
		}
		before = used
		if out[i] = ' '; used >= 0 {
			out[i] = barLevels[min(n-1, int64(float64(used)/float64(top)*float64(n)))]
		}
	}
	return string(out)
}

// cutWord is a name that fits a width. Of a pair of addresses the end matters more.
func cutWord(words string, width int) string {
	const more = ".."
	if strings.Contains(words, " -> ") && width > len(more) {
		return more + ansi.TruncateLeft(words, wide(words)-width+len(more), "")
	}
	return ansi.Truncate(words, width, more)
}

// WatchPane is a text that fills the screen of watch, from a line on; its last line says what goes
// on. top is the first line that is shown, as far as there are so many.
func WatchPane(title, body string, from, height int, style Style) (frame string, top int) {
	lines := strings.Split(strings.TrimRight(body, "\n"), "\n")
	room := max(1, height-2)
	top = max(0, min(from, len(lines)-room))
	last := min(len(lines), top+room)
	s := newScreen(style)
	s.line(0, span{title, bold})
	for _, line := range lines[top:last] {
		s.b.WriteString(line + "\n")
	}
	for range room - (last - top) {
		s.blank()
	}
	s.line(0, span{fmt.Sprintf("line %d-%d of %d; arrows and page keys scroll, q or esc "+
		"goes back", top+1, last, len(lines)), dim})
	return clipLines(s.b.String(), height), top
}

// FindingText writes one finding in full.
func FindingText(f diagnose.Finding, style Style) string {
	s := newScreen(style)
	s.finding(f)
	return s.b.String()
}

// VerdictText is the report in one sentence, in the words of check.
func VerdictText(r diagnose.Report) string { return Clean(words(verdictSpans(r))) }
