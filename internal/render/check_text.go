package render

import (
	"io"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
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
	s.blank()
	s.outbound(r)
	s.blank()
	s.inbound(r)
	s.findings(r.Findings)
	s.unseen(r)
	s.legend()
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
	if h.Window != "" {
		parts = append(parts, "watched for "+h.Window)
	} else {
		parts = append(parts, "one sample")
	}
	return []span{{name, bold}, text(": " + strings.Join(parts, ", "))}
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

// verdictSpans is the answer in one sentence.
func verdictSpans(r diagnose.Report) []span {
	switch r.Verdict {
	case diagnose.Binds:
		return bindsSpans(r)
	case diagnose.Holds:
		return holdsSpans(r)
	}
	return []span{{"Could not tell", yellow}, text(": " + strings.Join(blocking(r), "; "))}
}

// holdsSpans says how far the good news goes: which limits were judged.
func holdsSpans(r diagnose.Report) []span {
	void := unjudged(r)
	asked := len(r.Checked) + len(void)
	switch {
	case len(void) > 0:
		return []span{{"Nothing that could be seen limits this host's connections now", green}, text("; not judged: " + list(void) + ".")}
	case asked < len(limit.Catalogue()):
		var ids []string
		for _, c := range r.Checked {
			ids = append(ids, c.Limit)
		}
		return []span{{"Not limited now", green}, text(" by what was asked for: " + list(ids) + ".")}
	}
	if slices.ContainsFunc(r.Unseen, func(u diagnose.Unseen) bool { return strings.HasSuffix(u.Fact, " *") }) {
		return []span{{"Nothing that could be seen limits this host's connections now.", green}} // some subjects were not
	}
	return []span{{"Nothing limits this host's connections now.", green}}
}

// unjudged lists the limits that could not be evaluated for want of a fact, sorted.
func unjudged(r diagnose.Report) (ids []string) {
	for _, u := range r.Unseen {
		for _, id := range u.Limits {
			if !checked(r, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func checked(r diagnose.Report, id string) bool {
	return slices.ContainsFunc(r.Checked, func(c diagnose.Checked) bool { return c.Limit == id })
}

func bindsSpans(r diagnose.Report) []span {
	var critical, unmet, other []diagnose.Finding
	for _, f := range r.Findings {
		switch {
		case f.Severity == diagnose.Critical:
			critical = append(critical, f)
		case f.Demand > 0:
			unmet = append(unmet, f)
		case f.Severity == diagnose.Warning:
			other = append(other, f)
		}
	}
	now := "now"
	if r.Host.Window != "" {
		now = "now or did in the " + r.Host.Window + " watched"
	}
	switch {
	case len(critical) > 0:
		words := ": " + where(critical) + "."
		if len(unmet) > 0 {
			words += " The wanted workload does not fit: " + where(unmet) + "."
		}
		return []span{{severally(critical, "limit refuses", "limits refuse") + " connections " + now, red}, text(words)}
	case len(unmet) > 0:
		return []span{{"The wanted workload does not fit", yellow}, text(": " + where(unmet) + ". Nothing refuses connections " + now + ".")}
	}
	return []span{{"Nothing refuses connections " + now, yellow}, text(", but " + severally(other, "limit needs", "limits need") + " attention: " + where(other) + ".")}
}

// severally is "1 limit refuses" or "3 limits refuse": how many different limits there are.
func severally(findings []diagnose.Finding, one, more string) string {
	if n := len(byLimit(findings)); n > 1 {
		return count(int64(n)) + " " + more
	}
	return "1 " + one
}

// where names each limit once, with its worst subject and how many others there are.
func where(findings []diagnose.Finding) string {
	var words []string
	for _, same := range byLimit(findings) {
		w := same[0].Limit + " at " + same[0].Subject
		if len(same) > 1 {
			w += " (and " + plural(len(same)-1, "other") + ")"
		}
		words = append(words, w)
	}
	return list(words)
}

// byLimit groups findings, in the order of each limit's first.
func byLimit(findings []diagnose.Finding) (groups [][]diagnose.Finding) {
	for _, f := range findings {
		i := slices.IndexFunc(groups, func(g []diagnose.Finding) bool { return g[0].Limit == f.Limit })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], f)
	}
	return groups
}

// Blocking is why a report could not tell: what the limits that could not be evaluated lacked.
func Blocking(r diagnose.Report) string { return Clean(strings.Join(blocking(r), "; ")) }

func blocking(r diagnose.Report) (why []string) {
	for _, u := range r.Unseen {
		if slices.ContainsFunc(u.Limits, func(id string) bool { return !checked(r, id) }) {
			why = append(why, u.Fact+": "+u.Why)
		}
	}
	switch {
	case len(why) == 0:
		return []string{"no limit could be evaluated"}
	case len(why) > 3:
		return append(why[:3], plural(len(why)-3, "further fact")+" missing")
	}
	return why
}

// legend explains the marks that stand on the screen.
func (s *screen) legend() {
	shown := s.b.String()
	words := []string{"N read from the kernel"}
	if strings.Contains(shown, " <=") {
		words = append([]string{"<=N computed, perhaps less"}, words...)
	}
	if strings.Contains(shown, " =") {
		words = append([]string{"=N computed (maxconn explain LIMIT shows how)"}, words...)
	}
	s.blank()
	s.para(0, 2, span{strings.Join(words, ", "), dim})
}
