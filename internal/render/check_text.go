package render

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// How much of a report a first screen shows; Style.Verbose shows all.
const (
	mostDestinations = 5
	mostListeners    = 10
	mostInFull       = 8
	mostInfos        = 3
)

// Text writes a report for a terminal: about what, the verdict in one sentence, what can be made
// and held outbound and inbound, findings worst first, and what could not be seen.
func Text(w io.Writer, r diagnose.Report, style Style) error {
	s := newScreen(style)
	s.report(r)
	return s.flush(w)
}

func (s *screen) report(r diagnose.Report) {
	s.para(0, 2, about(r.Host)...)
	s.blank()
	s.para(0, 2, verdictSpans(r)...)
	s.wanted(r)
	if asksOutbound(r) {
		s.blank()
		s.outbound(r)
	}
	if asksInbound(r) {
		s.blank()
		s.inbound(r)
	}
	s.findings(r.Findings)
	s.unseen(r)
	s.legend(r)
}

// wanted says what becomes of each goal.
func (s *screen) wanted(r diagnose.Report) {
	if len(r.Workload) == 0 {
		return
	}
	s.blank()
	s.line(0, span{"WANTED", bold})
	shown := r.Workload[:s.first(len(r.Workload), mostGoals)]
	for _, j := range shown {
		verdict, why := goalWords(j)
		if r.Verdict == diagnose.Unknown && j.Verdict == diagnose.GoalUnknown {
			why = "" // the first sentence has said it
		}
		s.para(2, 4, text(j.Direction+" "+j.Goal+": "), verdict, text(why))
	}
	s.more(len(r.Workload) - len(shown))
}

// goalWords is the verdict on a goal, and why.
func goalWords(j diagnose.Judged) (verdict span, why string) {
	by := ""
	if j.Limit != "" {
		by = " (" + j.Limit + ")"
	}
	switch j.Verdict {
	case diagnose.GoalHolds:
		return span{"fits", green}, ", " + j.Why + by
	case diagnose.DoesNotHold:
		return span{"does not fit", red}, by + ": " + j.Why
	}
	return span{"could not be told", yellow}, by + ": " + j.Why
}

// about is the header line: host, kernel, namespace, scope, user, window.
func about(h diagnose.Host) []span {
	name := h.Name
	if name == "" {
		name = "unnamed host"
	}
	parts := []string{"Linux " + orUnknown(h.Kernel), namespace(h)}
	if h.User != "" {
		parts = append(parts, "as "+h.User)
	}
	switch {
	case h.Window != "":
		parts = append(parts, "watched for "+windowWords(h))
	case h.Glance != "":
		parts = append(parts, "one sample, counters watched for "+h.Glance)
	default:
		parts = append(parts, "one sample")
	}
	return []span{{name, bold}, text(": " + strings.Join(parts, ", "))}
}

// windowWords is the length of the window in tenths of a second at most.
func windowWords(h diagnose.Host) string {
	d, err := time.ParseDuration(h.Window)
	if err != nil || d < time.Second {
		return h.Window
	}
	return d.Round(100 * time.Millisecond).String()
}

func orUnknown(s string) string {
	if s == "" {
		return "(version not seen)"
	}
	return s
}

func namespace(h diagnose.Host) string {
	var words []string
	if h.NetnsName != "" {
		words = append(words, h.NetnsName)
	}
	if h.Netns != "" {
		words = append(words, h.Netns)
	}
	id := strings.Join(words, " ")
	switch {
	case h.Scope != "" && id != "":
		return h.Scope + " network namespace (" + id + ")"
	case h.Scope != "":
		return h.Scope + " network namespace"
	case id != "":
		return "network namespace " + id
	}
	return "network namespace not seen"
}

// doubts are what may lower the ceilings of the tables: ": this, that".
func doubts(c diagnose.Capacity) string {
	var all []string
	for _, o := range c.Outbound {
		all = append(all, o.AtMostWhy...)
	}
	for _, i := range c.Inbound {
		all = append(all, i.AtMostWhy...)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return ""
	}
	const most = 3
	words := strings.Join(all[:min(most, len(all))], "; ")
	if len(all) > most {
		words += "; and more (--json)"
	}
	return " (" + words + ")"
}

// legend explains the marks that stand on the screen.
func (s *screen) legend(r diagnose.Report) {
	shown := s.b.String()
	words := []string{"N read from the kernel"}
	if strings.Contains(shown, " <=") {
		words = append([]string{"<=N at most that" + doubts(r.Capacity)}, words...)
	}
	if strings.Contains(shown, " =") {
		words = append([]string{"=N computed (maxconn explain LIMIT shows how)"}, words...)
	}
	s.blank()
	s.para(0, 2, span{strings.Join(words, ", "), dim})
}
