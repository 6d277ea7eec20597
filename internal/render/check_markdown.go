package render

import (
	"io"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/plan"
)

// Markdown writes a report as a document to paste into a ticket: everything, nothing left out.
func Markdown(w io.Writer, r diagnose.Report) error {
	m := &markdown{}
	m.report(r)
	return m.flush(w)
}

func (m *markdown) report(r diagnose.Report) {
	m.heading(2, "Connections of "+proseSpans(about(r.Host)[:1])+": "+prose(string(r.Verdict)))
	m.paragraph(proseSpans(about(r.Host)))
	m.paragraph("**" + proseSpans(verdictSpans(r)) + "**")
	for _, j := range r.Workload {
		verdict, why := goalWords(j)
		m.item(code(j.Direction+" "+j.Goal) + ": " + prose(verdict.text+why))
	}
	m.outbound(r)
	m.inbound(r)
	if len(r.Findings) > 0 {
		m.heading(3, "Findings")
	}
	for _, f := range r.Findings {
		m.finding(f)
	}
	if len(r.Unseen) > 0 {
		m.heading(3, "Not seen")
		m.b.Write("\n")
	}
	for _, u := range r.Unseen {
		m.item(code(u.Fact) + ": " + prose(u.Why+usedBy(u)))
	}
	m.paragraph("Figures: plain ones were read from the kernel; `=` computed; `<=` " +
		"computed, perhaps lower because something was not seen.")
}

func proseSpans(spans []span) md {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.text)
	}
	return prose(b.String())
}

func (m *markdown) outbound(r diagnose.Report) {
	if len(r.Capacity.Outbound) == 0 || !asksOutbound(r) {
		return
	}
	m.heading(3, "Outbound")
	var rows [][]md
	for _, o := range r.Capacity.Outbound {
		row := outboundRow(o)
		rows = append(rows, capacityCells(row))
	}
	m.table([]md{"from -> to", "process", "now:", "can hold:", "bound by", "new/s:",
		"bound by"}, rows)
}

// capacityCells are a row of capacity: names and figures in code, limits in prose.
func capacityCells(row []string) (cells []md) {
	for i, words := range row {
		if i == 2 || i == 4 || i == 6 {
			cells = append(cells, prose(words))
		} else {
			cells = append(cells, code(words))
		}
	}
	return cells
}

func (m *markdown) inbound(r diagnose.Report) {
	if len(r.Capacity.Inbound) == 0 || !asksInbound(r) {
		return
	}
	m.heading(3, "Inbound")
	var rows [][]md
	for _, i := range r.Capacity.Inbound {
		row := inboundRow(i)
		rows = append(rows, capacityCells(row))
	}
	m.table([]md{"listener", "process", "now:", "can hold:", "bound by", "burst:", "bound by"},
		rows)
}

func (m *markdown) finding(f diagnose.Finding) {
	m.heading(4, prose(severity(f).text)+": "+prose(f.Limit)+" at "+code(subject(f)))
	lines := []md{prose(use(f))}
	say := func(label, words md) {
		if words != "" {
			lines = append(lines, label+": "+words)
		}
	}
	say("cause", prose(f.Cause))
	say("set by", prose(f.Owner))
	for _, e := range f.Evidence {
		say("evidence", prose(evidence(e)))
	}
	for _, r := range f.Remedies {
		say("lift it", prose(remedy(r)))
	}
	for _, s := range f.Sources {
		say("source", code(s))
	}
	m.items(lines...)
}

// PlanMarkdown writes a plan as a document to review: everything, nothing left out.
func PlanMarkdown(w io.Writer, p plan.Plan) error {
	m := &markdown{}
	m.plan(p)
	return m.flush(w)
}

func (m *markdown) plan(p plan.Plan) {
	m.heading(2, "Plan for "+proseSpans(planAbout(p)[:1])+": "+prose(string(p.Verdict)))
	m.paragraph(proseSpans(planAbout(p)))
	var goals []md
	for _, g := range planGoals(p.Workload) {
		goals = append(goals, prose(g))
	}
	m.items(goals...)
	m.paragraph("**" + proseSpans(planVerdict(p)) + "**")
	if len(p.Changes) > 0 {
		m.heading(3, "Changes, in this order")
		var rows [][]md
		for i, c := range p.Changes {
			rows = append(rows, []md{number(i + 1), code(c.Setting),
				code(shownValue(c.From)), code(shownValue(c.To)),
				prose(string(c.TakesEffect)), prose(c.Owner)})
		}
		m.table([]md{":", "setting", "from", "to", "takes effect", "set by"}, rows)
	}
	for i, c := range p.Changes {
		m.heading(4, number(i+1)+". "+code(c.Setting))
		var lines []md
		for _, x := range changeWords(c) {
			lines = append(lines, prose(x.label)+": "+prose(x.words))
		}
		m.items(lines...)
	}
	for i, title := range leftTitles(p) {
		m.left(prose(title[:1]+strings.ToLower(title[1:])), p, i == 0)
	}
	if len(p.Unseen) > 0 {
		m.heading(3, "Not judged")
		m.b.Write("\n")
	}
	for _, u := range p.Unseen {
		m.item(code(u.Fact) + ": " + prose(u.Why+usedBy(u)))
	}
}

func number(n int) md { return prose(strconv.Itoa(n)) }

func (m *markdown) left(title md, p plan.Plan, binds bool) {
	var lines []md
	for _, l := range p.Left {
		if l.Binds == binds {
			lines = append(lines,
				prose(l.Limit+leftHead(l))+": "+prose(string(l.Kind))+": "+
					prose(l.Text))
		}
	}
	if len(lines) > 0 {
		m.heading(3, title)
		m.items(lines...)
	}
}

// md is text of a Markdown document: constants, prose and code. A plain string does not compile.
type md = encode.Markdown

// prose and code are how text gets into a document.
func prose(s string) md { return encode.Prose(s) }
func code(s string) md  { return encode.Code(s) }

// proseOf is cells of plain text.
func proseOf(words ...string) []md {
	out := make([]md, len(words))
	for i, w := range words {
		out[i] = prose(w)
	}
	return out
}

// markdown collects a document in GitHub's flavour.
type markdown struct{ b encode.Builder[md] }

func (m *markdown) flush(w io.Writer) error {
	_, err := io.WriteString(w, strings.TrimLeft(m.b.String(), "\n"))
	return err
}

// levels are the marks of headings.
var levels = [...]md{1: "#", 2: "##", 3: "###", 4: "####"}

// heading, paragraph and table begin with an empty line; items follow each other.
func (m *markdown) heading(level int, words md) { m.b.Write("\n", levels[level], " ", words, "\n") }

func (m *markdown) paragraph(words md) { m.b.Write("\n", encode.Block(words), "\n") }

func (m *markdown) item(words md) { m.b.Write("- ", encode.Block(words), "\n") }

// items begin a list after an empty line; none writes nothing.
func (m *markdown) items(all ...md) {
	if len(all) > 0 {
		m.b.Write("\n")
	}
	for _, words := range all {
		m.item(words)
	}
}

// table has its first row as the head; columns whose head ends in ":" are right-aligned, the ":" is
// dropped. "|" in a cell is escaped here.
func (m *markdown) table(heads []md, rows [][]md) {
	rule := make([]md, len(heads))
	names := make([]md, len(heads))
	for i, h := range heads {
		rule[i], names[i] = "---", h
		if len(h) > 0 && h[len(h)-1] == ':' {
			rule[i], names[i] = "---:", h[:len(h)-1]
		}
	}
	m.b.Write("\n")
	for _, row := range append([][]md{names, rule}, rows...) {
		m.b.Write("|")
		for _, cell := range row {
			if cell != "" {
				m.b.Write(" ", encode.Cell(cell))
			}
			m.b.Write(" |")
		}
		m.b.Write("\n")
	}
}
