package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

// Now is all that is known at a moment.
type Now struct {
	View live.View
	// Snapshots are the last ones, by the keys of the namespaces.
	Snapshots map[string]host.Snapshot
	// Says is about the source: "recording to FILE", "replay at 10x"; "" for nothing to say.
	Says []string
}

// Hooks are what a screen asks of the world.
type Hooks struct {
	// Write keeps a snapshot in a file, and says which.
	Write func(s host.Snapshot, at time.Time) (name string, err error)
	// Owner says who set a sysctl of a snapshot's host, see plan.Options; nil: nobody knows.
	Owner func(s host.Snapshot) func(sysctl, value string) string
	// Freeze is told when the screen stands still and when it goes on; nil: nobody asks.
	Freeze func(frozen bool)
	// Speed is told to play a recording faster or slower; nil: it is none.
	Speed func(factor float64)
}

// Model is the state of a screen. The zero value shows nothing yet.
type Model struct {
	Width, Height int
	Color         bool
	Hooks         Hooks

	now    Now
	later  Now // what has come while it stood still
	frozen bool
	space  string // key of the namespace that is shown
	row    string // which is selected, by rowKey; "": the first
	filter string
	typing bool
	says   string // what became of the last key
	pane   *pane  // shown in place of the table
}

// pane is a text that fills the screen.
type pane struct {
	title string
	text  func(render.Style) string
	from  int // the first line
}

// Work takes long or touches the world; what it returns is to be done to the model.
type Work func() func(*Model)

// See takes in what is known now. A screen that stands still keeps what it shows.
func (m *Model) See(n Now) {
	if m.later = n; !m.frozen {
		m.now = n
	}
}

func (m *Model) style() render.Style {
	return render.Style{Width: max(m.Width, 1), Color: m.Color}
}

// at is the place of the namespace that is shown among those of the view.
func (m *Model) at() int {
	return max(0, slices.IndexFunc(m.now.View.Spaces, func(s live.Space) bool {
		return s.Key == m.space
	}))
}

// shown is the namespace that is shown; ok says that there is one.
func (m *Model) shown() (s live.Space, ok bool) {
	if len(m.now.View.Spaces) == 0 {
		return s, false
	}
	return m.now.View.Spaces[m.at()], true
}

// rowKey tells the rows of a namespace apart.
func rowKey(r live.Row) string {
	return strings.Join([]string{string(r.Limit), r.Subject, string(r.Measure), r.Unit}, "\x00")
}

// rows are those of the namespace that the filter leaves: those with a use or something to say,
// what refuses and what is near first.
func (m *Model) rows() (rows []live.Row) {
	s, _ := m.shown()
	for _, r := range s.Rows {
		text := strings.ToLower(string(r.Limit) + " " + r.Subject + " " + r.Process)
		if (r.Used > 0 || r.Severity != "" || m.filter != "") &&
			strings.Contains(text, strings.ToLower(m.filter)) {
			rows = append(rows, r)
		}
	}
	rank := func(r live.Row) int {
		return 1 + slices.Index([]diagnose.Severity{diagnose.Warning, diagnose.Critical},
			r.Severity)
	}
	slices.SortStableFunc(rows, func(a, b live.Row) int {
		return cmp.Compare(rank(b), rank(a))
	})
	return rows
}

// selected is the place of the selected row.
func (m *Model) selected(rows []live.Row) int {
	return max(0, slices.IndexFunc(rows, func(r live.Row) bool { return rowKey(r) == m.row }))
}

// Frame is the screen: Height lines of at most Width columns.
func (m *Model) Frame() string {
	if m.pane != nil {
		text, top := render.WatchPane(m.pane.title, m.pane.text(m.style()), m.pane.from,
			m.Height, m.style())
		m.pane.from = top
		return text
	}
	s, ok := m.shown()
	if !ok {
		text, _ := render.WatchPane("maxconn watch", "The first survey is under way.", 0,
			m.Height, m.style())
		return text
	}
	rows := m.rows()
	return render.WatchFrame(render.Watch{Space: s, Rows: rows, Selected: m.selected(rows),
		Events: m.events(s), Status: m.status(s), Says: m.line()}, m.Height, m.style())
}

// events are those of a namespace, and of namespaces that come and go.
func (m *Model) events(s live.Space) (all []live.Event) {
	for _, e := range m.now.View.Events {
		if e.Space == s.Name || strings.Contains(e.What, "network namespace") {
			all = append(all, e)
		}
	}
	return all
}

// line is what stands in the last line, "" for the keys.
func (m *Model) line() string {
	if m.typing {
		return "filter: " + m.filter + "_  (enter keeps it, esc shows all)"
	}
	return m.says
}

// status says how the view came about.
func (m *Model) status(s live.Space) []string {
	v := m.now.View
	words := []string{s.At.UTC().Format(time.TimeOnly)}
	if m.frozen {
		words = append(words, "FROZEN")
	}
	if v.Pace.Survey > 0 {
		words = append(words, "a survey every "+short(v.Pace.Survey)+" of "+
			short(v.Pace.CPU)+" CPU")
	}
	if n := len(v.Spaces); n > 1 {
		bound := 0
		for i, other := range v.Spaces {
			if i != m.at() && other.Report.Verdict == diagnose.Binds {
				bound++
			}
		}
		here := fmt.Sprintf("namespace %s, %d of %d", s.Name, m.at()+1, n)
		switch bound {
		case 0:
		case 1:
			here += ", another one binds"
		default:
			here += fmt.Sprintf(", %d others bind", bound)
		}
		words = append(words, here)
	}
	if m.filter != "" && !m.typing {
		words = append(words, "filter: "+m.filter)
	}
	return append(words, m.now.Says...)
}

// short is a length of time in two or three digits.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// explained is what explain says of a row's limit, with the finding about the row first.
func explained(r live.Row, s live.Space, snapshot host.Snapshot) (*pane, bool) {
	e, ok := render.Explain(string(r.Limit), snapshot)
	if !ok {
		return nil, false
	}
	if snapshot.Len() == 0 {
		e.NoFigures = "there is no snapshot of this network namespace any more"
	}
	var about []diagnose.Finding
	for _, f := range s.Report.Findings {
		same := f.Subject == r.Subject || f.Process == r.Process && f.Process != ""
		if f.Limit == string(r.Limit) && same {
			about = append(about, f)
		}
	}
	return &pane{title: string(r.Limit) + " at " + r.Subject,
		text: func(style render.Style) string {
			var b strings.Builder
			for _, f := range about {
				b.WriteString(render.FindingText(f, style) + "\n")
			}
			render.ExplanationText(&b, e, style)
			return b.String()
		}}, true
}

// planned is what plan says for a row: what mends it.
func planned(r live.Row, snapshot host.Snapshot, hooks Hooks) (*pane, error) {
	o := plan.Options{Limits: []string{string(r.Limit)}}
	if hooks.Owner != nil {
		o.Owner = hooks.Owner(snapshot)
	}
	p, err := plan.Make(snapshot, limit.Workload{}, o)
	if err != nil {
		return nil, err
	}
	return &pane{title: "plan for " + string(r.Limit) + " at " + r.Subject,
		text: func(style render.Style) string {
			var b strings.Builder
			style.Verbose = true
			render.PlanText(&b, p, style)
			return b.String()
		}}, nil
}
