package render

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// unseen is one line on what could not be seen, or all of it.
func (s *screen) unseen(r diagnose.Report) {
	if len(r.Unseen) == 0 {
		return
	}
	s.blank()
	if s.style.Verbose {
		s.line(0, span{"NOT SEEN", bold})
		for _, u := range r.Unseen {
			s.para(2, 4, text(u.Fact+": "+u.Why+usedBy(u)))
		}
		return
	}
	s.para(0, 2, span{"Not seen", yellow}, text(": "+unseenBrief(r)+" (--verbose lists it"+asRoot(r)+")"))
}

func usedBy(u diagnose.Unseen) string {
	if len(u.Limits) == 0 {
		return ""
	}
	return " [" + strings.Join(u.Limits, ", ") + "]"
}

// asRoot tells those who are not root that root sees more.
func asRoot(r diagnose.Report) string {
	if r.Host.User == "" || r.Host.User == "root" {
		return ""
	}
	return "; root sees more"
}

// unseenBrief counts what was not seen by reason, most first: "3 facts: permission denied".
func unseenBrief(r diagnose.Report) string {
	facts := map[string][]string{}
	var reasons []string
	for _, u := range r.Unseen {
		if facts[u.Why] == nil {
			reasons = append(reasons, u.Why)
		}
		facts[u.Why] = append(facts[u.Why], strings.TrimSuffix(u.Fact, " *"))
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return len(facts[b]) - len(facts[a]) })
	var parts []string
	for _, why := range reasons[:min(len(reasons), 2)] {
		parts = append(parts, someOf(facts[why])+": "+why)
	}
	if more := len(reasons) - len(parts); more > 0 {
		parts = append(parts, "+ "+count(int64(more))+" more")
	}
	return strings.Join(parts, "; ")
}

// someOf names up to three facts.
func someOf(facts []string) string {
	if len(facts) <= 3 {
		return strings.Join(facts, ", ")
	}
	return strings.Join(facts[:2], ", ") + " and " + plural(len(facts)-2, "other fact")
}
