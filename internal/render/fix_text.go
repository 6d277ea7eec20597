package render

import (
	"fmt"
	"io"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/plan"
)

// FixJSON writes a report of fix in its stable form.
func FixJSON(w io.Writer, r fix.Report) error { return writeJSON(w, r) }

// FixText writes a report of fix for a terminal: what came of it in one sentence, the changes, the
// evidence before and after, and what no setting lifts.
func FixText(w io.Writer, r fix.Report, style Style) error {
	s := newScreen(style)
	s.para(0, 2, fixHead(r)...)
	if len(r.Changes) > 0 {
		s.blank()
		s.line(0, span{fixChangesTitle(r), bold})
	}
	for i, c := range r.Changes {
		s.fixChange(i, c, r.Outcome == fix.Proposed)
	}
	s.evidence(r)
	left := plan.Plan{Left: r.Left}
	s.leftover("LEFT TO YOU", left, true)
	s.leftover("ALSO CHECK", left, false)
	return s.flush(w)
}

// fixHead is the outcome in one sentence.
func fixHead(r fix.Report) []span {
	paint := map[fix.Outcome]paint{fix.Kept: green, fix.Nothing: green, fix.Waiting: yellow,
		fix.Unknown: yellow, fix.RolledBack: red, fix.NoSetting: red,
		fix.Broken: red, fix.InPart: red}[r.Outcome]
	words := string(r.Outcome)
	if r.Run > 0 {
		words = "run " + count(int64(r.Run)) + ": " + words
	}
	if len(r.Earlier) > 0 {
		words += fmt.Sprintf(" (try %d)", len(r.Earlier)+1)
	}
	if r.Why == "" {
		return []span{{words, paint}}
	}
	return []span{{words, paint}, text(": " + r.Why)}
}

func fixChangesTitle(r fix.Report) string {
	switch r.Outcome {
	case fix.Proposed:
		return "WOULD CHANGE"
	case fix.RolledBack, fix.InPart:
		return "CHANGED, AND ROLLED BACK"
	}
	return "CHANGED"
}

func (s *screen) fixChange(i int, c fix.Change, proposed bool) {
	to := c.To
	if c.Became != "" {
		to = c.Became
	}
	words := ": " + shownValue(c.From) + " -> " + shownValue(to)
	if c.RolledBack != "" {
		words += " (" + c.RolledBack + ")"
	}
	s.para(0, 4, span{count(int64(i+1)) + ". ", dim}, span{c.Setting, bold}, text(words))
	if proposed || s.style.Verbose {
		s.labelled(2, "why", planLabels, text(c.Why))
		s.labelled(2, "takes effect", planLabels, text(string(c.TakesEffect)))
	}
}

// mostEvidence is how many readings a first screen shows.
const mostEvidence = 8

// evidence is what is watched, or what was seen before and after.
func (s *screen) evidence(r fix.Report) {
	if len(r.Evidence) == 0 {
		return
	}
	judged := r.Outcome != fix.Proposed && r.Outcome != fix.Watching
	title := span{"EVIDENCE", bold}
	said := text(", before -> after")
	if !judged {
		said = text(" that will be watched; now:")
	}
	s.blank()
	s.line(0, title, said)
	shown := r.Evidence[:s.first(len(r.Evidence), mostEvidence)]
	for _, i := range shown {
		words := ": " + i.Before.String()
		if judged {
			words = i.String()[len(i.Before.Name()):] + " (" + string(i.Verdict) + ")"
		}
		s.para(0, 2, span{i.Before.Name(), bold}, text(words))
	}
	if n := len(r.Evidence) - len(shown); n > 0 {
		s.para(0, 2, span{"and " + count(int64(n)) + " more (--verbose shows them)", dim})
	}
	for _, x := range r.Worse {
		s.para(0, 2, span{x.Name(), red}, text(" refuses since the change: "+x.String()))
	}
}
