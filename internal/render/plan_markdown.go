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
	m.heading(2, "Plan for "+proseSpans(planAbout(p)[:1])+": "+string(p.Verdict))
	m.paragraph(proseSpans(planAbout(p)))
	var goals []string
	for _, g := range planGoals(p.Workload) {
		goals = append(goals, prose(g))
	}
	m.items(goals...)
	m.paragraph("**" + proseSpans(planVerdict(p)) + "**")
	if len(p.Changes) > 0 {
		m.heading(3, "Changes, in this order")
		var rows [][]string
		for i, c := range p.Changes {
			rows = append(rows, []string{strconv.Itoa(i + 1), code(c.Setting), code(shownValue(c.From)), code(shownValue(c.To)), prose(c.TakesEffect), prose(c.Owner)})
		}
		m.table([]string{":", "setting", "from", "to", "takes effect", "set by"}, rows)
	}
	for i, c := range p.Changes {
		m.heading(4, strconv.Itoa(i+1)+". "+code(c.Setting))
		var lines []string
		for _, x := range changeWords(c) {
			lines = append(lines, x.label+": "+prose(x.words))
		}
		m.items(lines...)
	}
	for i, title := range leftTitles(p) {
		m.left(title[:1]+strings.ToLower(title[1:]), p, i == 0)
	}
	if len(p.Unseen) > 0 {
		m.heading(3, "Not judged")
		m.b.WriteString("\n")
	}
	for _, u := range p.Unseen {
		m.item(code(u.Fact) + ": " + prose(u.Why+usedBy(u)))
	}
}

func (m *markdown) left(title string, p plan.Plan, binds bool) {
	var lines []string
	for _, l := range p.Left {
		if l.Binds == binds {
			lines = append(lines, l.Limit+prose(leftHead(l))+": "+string(l.Kind)+": "+prose(l.Text))
		}
	}
	if len(lines) > 0 {
		m.heading(3, title)
		m.items(lines...)
	}
}
