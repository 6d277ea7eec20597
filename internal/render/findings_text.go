package render

import (
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// labels is the column at which the words of a finding begin.
const labels = 12

// findings writes critical ones and warnings in full, worst first, and the others in a line each.
func (s *screen) findings(all []diagnose.Finding) {
	if len(all) == 0 {
		return
	}
	s.blank()
	s.line(0, span{"FINDINGS", bold})
	full, infos, hidden := 0, 0, 0
	cut := false
	for _, f := range all {
		switch {
		case s.style.Verbose, f.Severity != diagnose.Info && full < mostInFull:
			if full > 0 {
				s.blank()
			}
			full++
			s.finding(f)
		case f.Severity != diagnose.Info:
			cut = s.brief(f) || cut
		case infos < mostInfos:
			if infos == 0 && full > 0 {
				s.blank()
			}
			infos++
			cut = s.brief(f) || cut
		default:
			hidden++
		}
	}
	if cut && hidden == 0 {
		s.line(2, span{"--verbose shows these in full", dim})
	}
	s.more(hidden)
}

// finding is everything that is known about one.
func (s *screen) finding(f diagnose.Finding) {
	s.para(0, 2, severity(f), text("  "), span{f.Limit, bold},
		text(" at "+subject(f)+": "+use(f)))
	say := func(label, words string) {
		if words != "" {
			s.labelled(2, label, labels, text(words))
		}
	}
	say("cause", f.Cause)
	say("set by", f.Owner)
	label := "evidence"
	for _, e := range f.Evidence {
		say(label, evidence(e))
		label = ""
	}
	label = "lift it"
	for _, m := range f.Remedies {
		say(label, remedy(m))
		label = ""
	}
	say("more", "maxconn explain "+f.Limit)
}

// brief is a finding in one line: what is worth knowing, or how much is used. cut says that it was
// longer.
func (s *screen) brief(f diagnose.Finding) (cut bool) {
	words := f.Cause
	switch {
	case words == "":
		words = use(f)
	case f.Severity != diagnose.Info:
		words = use(f) + ": " + words
	}
	return s.line(0, severity(f), text("  "+f.Limit+" at "+subject(f)+": "+words))
}

// severity is a word, for those who do not see colours.
func severity(f diagnose.Finding) span {
	switch f.Severity {
	case diagnose.Critical:
		return span{"CRITICAL", red}
	case diagnose.Warning:
		return span{"WARNING", yellow}
	}
	return span{"info", dim}
}

// subject is whose limit it is, with the process where the name does not say it already.
func subject(f diagnose.Finding) string {
	p := who(f.Process, f.PID)
	switch {
	case p == "" || strings.Contains(f.Subject, p):
		return f.Subject
	case f.Subject == "":
		return p
	}
	return f.Subject + ", " + p
}

// use is how much of the limit is used, and how much is wanted. Refused is not said here:
// it counts packets, retransmissions too, and would be taken for lost clients; the evidence
// has it with its meaning.
func use(f diagnose.Finding) string {
	words := count(f.Used) + " of " + marked(f.Ceiling, f.CeilingHow, f.AtMost) + " " +
		counted(f)
	switch {
	case f.Unbounded && f.Used == 0:
		words = "no ceiling in connections"
	case f.Unbounded:
		words = count(f.Used) + " " + counted(f) + ", no ceiling"
	}
	switch {
	case f.Demand > 0 && f.Unit != "":
		words += ", wanted " + count(f.Demand) + " connections"
	case f.Demand > 0:
		words += ", wanted " + count(f.Demand)
	}
	return words
}

// counted is what the figures of a finding count.
func counted(f diagnose.Finding) string {
	if f.Unit != "" {
		return f.Unit
	}
	return measured(f.Measure)
}

// measured is a measure in words.
func measured(m limit.Measure) string {
	switch m {
	case limit.PerSecond:
		return "new connections per second"
	case limit.Burst:
		return "connections at once"
	}
	return "connections held"
}

func evidence(e limit.Evidence) string {
	words := e.Fact
	if e.Value != "" {
		words += " = " + value(e.Value)
	}
	if e.Meaning != "" {
		words += ": " + e.Meaning
	}
	return words
}

// remedy says who acts, what changes, when it takes effect, and why it helps.
func remedy(m limit.Remedy) string {
	words := string(m.Kind)
	if m.Setting != "" {
		words += ": " + m.Setting
	}
	switch {
	case m.From != "" && m.To != "":
		words += " from " + m.From + " to " + m.To
	case m.To != "":
		words += " to " + m.To
	}
	if m.Text != "" {
		words += ": " + m.Text
	}
	if m.TakesEffect != "" {
		words += " (takes effect " + string(m.TakesEffect) + ")"
	}
	return words
}
