package render

import (
	"io"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/plan"
)

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
