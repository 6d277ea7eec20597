package render

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
)

// mostUnseenLines is how long the brief word on what was not seen may get.
const mostUnseenLines = 2

// unseen is a brief word on what could not be seen, or all of it.
func (s *screen) unseen(r diagnose.Report) {
	if len(r.Unseen) == 0 {
		return
	}
	s.blank()
	if s.style.Verbose {
		s.line(0, span{"NOT SEEN", bold})
		for _, u := range r.Unseen {
			s.para(2, 4, text(factName(u.Fact)+": "+u.Why+usedBy(u)))
		}
		return
	}
	for _, words := range unseenBrief(r) {
		spans := []span{{"Not seen", yellow},
			text(": " + words + " (--verbose lists " + pronoun(len(r.Unseen)) +
				asRoot(r) + ")")}
		if len(s.wrapped(s.style.Width-2, spans)) <= mostUnseenLines {
			s.para(0, 2, spans...)
			return
		}
	}
}

func pronoun(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
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

// factName is a fact for people: tables have the name of their rows.
func factName(fact string) string {
	table, ok := strings.CutSuffix(fact, " *")
	if !ok {
		return fact
	}
	switch kind := host.Kind(table); kind {
	case host.OutboundKind, host.InboundKind:
		return table + " connections"
	case host.ProcessKind:
		return "processes"
	case host.AddressKind:
		return "addresses"
	case host.RuleKind:
		return "firewall rules"
	case host.SNATKind:
		return "rules for source NAT"
	case host.NATKind:
		return "rewritten connections"
	case host.UnresolvedKind:
		return "unresolved neighbours"
	case host.RestKind:
		return "further connections"
	case host.ConntrackKind, host.SoftnetKind, host.NeighbourKind, host.ProtocolKind,
		host.SlabKind:
		return table + " figures"
	}
	return table + "s"
}

// byReason groups facts by the reason that they were not seen: processes first, then what
// hides most.
func byReason(unseen []diagnose.Unseen) (reasons []string, facts map[string][]string) {
	facts = map[string][]string{}
	for _, u := range unseen {
		if facts[u.Why] == nil {
			reasons = append(reasons, u.Why)
		}
		facts[u.Why] = append(facts[u.Why], factName(u.Fact))
	}
	weight := func(why string) int {
		if slices.Contains(facts[why], factName(host.All(host.ProcessKind).String())) {
			return len(unseen) + 1
		}
		return len(facts[why])
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return weight(b) - weight(a) })
	return reasons, facts
}

// unseenBrief says what was not seen, by reason, in ever fewer words: "listener :80,
// listener :81 and 3 other facts: permission denied; ...", at last the number of facts
// alone.
func unseenBrief(r diagnose.Report) (forms []string) {
	reasons, facts := byReason(r.Unseen)
	form := func(most int, name func([]string) string, say func(string) string) {
		var parts []string
		for _, why := range reasons[:min(len(reasons), most)] {
			parts = append(parts, name(facts[why])+": "+say(why))
		}
		if more := len(reasons) - len(parts); more > 0 {
			parts = append(parts, "+ "+count(int64(more))+" more")
		}
		forms = append(forms, strings.Join(parts, "; "))
	}
	whole := func(why string) string { return why }
	form(2, someOf, whole)
	form(2, someOf, firstClause)
	form(2, oneOf, firstClause)
	form(1, oneOf, firstClause)
	return append(forms, plural(len(r.Unseen), "fact"))
}

// firstClause leaves out what a reason adds behind ";": hints and consequences.
func firstClause(why string) string {
	first, _, _ := strings.Cut(why, ";")
	return first
}

// someOf names up to three facts.
func someOf(facts []string) string {
	if len(facts) <= 3 {
		return strings.Join(facts, ", ")
	}
	return strings.Join(facts[:2], ", ") + " and " + plural(len(facts)-2, "other fact")
}

// oneOf names a fact, or says how many there are.
func oneOf(facts []string) string {
	if len(facts) == 1 {
		return facts[0]
	}
	return plural(len(facts), "fact")
}
