package render

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// verdictSpans is the answer in one sentence.
func verdictSpans(r diagnose.Report) []span {
	switch r.Verdict {
	case diagnose.Binds:
		return bindsSpans(r)
	case diagnose.Holds:
		return holdsSpans(r)
	}
	head := "Could not tell"
	switch {
	case len(diagnose.WhyUnknown(r.Workload)) > 0:
		head += " whether the wanted workload fits"
	case len(r.Checked) > 0 && len(unjudged(r)) == 0:
		head = nothing(r) + " limits " + whose(r.Host) +
			" connections now, but not all could be seen"
	}
	return []span{{head, yellow}, text(": " + strings.Join(blocking(r), "; "))}
}

// holdsSpans says how far the good news goes: which limits were judged, and for whom.
func holdsSpans(r diagnose.Report) []span {
	head, tail := nothing(r)+" limits "+whose(r.Host)+" connections now", reservations(r)
	if len(r.Asked) > 0 && len(r.Checked)+len(unjudged(r)) < len(limit.Catalogue()) {
		var ids []string
		for _, c := range r.Checked {
			ids = append(ids, c.Limit)
		}
		head, tail = "Not limited now", " by what was asked for: "+list(ids)+tail
		if len(r.Unseen) > 0 {
			head += " as far as could be seen"
		}
	}
	if len(r.Workload) > 0 {
		tail = " and the wanted workload fits" + tail
	}
	return []span{{head, green}, text(tail + ".")}
}

// whose is who the report is about, before "connections".
func whose(h diagnose.Host) string {
	if h.PID != 0 {
		return "the process " + who(h.Process, h.PID) + " in its"
	}
	return "this host's"
}

// nothing is the subject of good news.
func nothing(r diagnose.Report) string {
	if len(r.Unseen) > 0 {
		return "Nothing that could be seen"
	}
	return "Nothing"
}

// reservations name the limits that good news does not speak of, and those that it speaks
// of in part.
func reservations(r diagnose.Report) (words string) {
	if void := unjudged(r); len(void) > 0 {
		words += "; not judged: " + list(void)
	}
	for _, u := range r.Unseen {
		if part := inPart(r, u); len(part) > 0 {
			words += "; " + list(part) + " only for the " + factName(u.Fact) +
				" that could be seen"
		}
	}
	return words
}

// inPart lists the limits that were judged for some subjects and not for others, because
// rows of a table are missing.
func inPart(r diagnose.Report, u diagnose.Unseen) (ids []string) {
	for _, id := range u.Limits {
		if l := limit.Find(limit.ID(id)); l != nil && checked(r, id) &&
			slices.Contains(subjects(u.Fact), l.Scope) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// subjects are the scopes whose subjects a table lists. The cgroups looked at are those of
// processes.
func subjects(fact string) []limit.Scope {
	switch fact {
	case host.All(host.ProcessKind).String():
		return []limit.Scope{limit.Process, limit.Cgroup}
	case host.All(host.CgroupKind).String():
		return []limit.Scope{limit.Cgroup}
	case host.All(host.UserKind).String():
		return []limit.Scope{limit.User}
	case host.All(host.ListenerKind).String():
		return []limit.Scope{limit.Listener}
	case host.All(host.OutboundKind).String():
		return []limit.Scope{limit.Peer}
	}
	return nil
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
	return slices.ContainsFunc(r.Checked, func(c diagnose.Checked) bool {
		return c.Limit == id
	})
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
		now = "now or did in the " + windowWords(r.Host) + " watched"
	}
	switch {
	case len(critical) > 0:
		words := ": " + where(critical) + "."
		if len(unmet) > 0 {
			words += " The wanted workload does not fit: " + where(unmet) + "."
		}
		return []span{{severally(critical, "limit refuses", "limits refuse") +
			" connections " + now, red}, text(words)}
	case len(unmet) > 0:
		return []span{{"The wanted workload does not fit", yellow},
			text(": " + where(unmet) + ". " + nothing(r) + " refuses connections " +
				now + ".")}
	}
	return []span{{nothing(r) + " refuses connections " + now, yellow},
		text(", but " + severally(other, "limit needs", "limits need") + " attention: " +
			where(other) + ".")}
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
		i := slices.IndexFunc(groups, func(g []diagnose.Finding) bool {
			return g[0].Limit == f.Limit
		})
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
	if why = diagnose.WhyUnknown(r.Workload); len(why) > 0 {
		return why
	}
	for _, u := range r.Unseen {
		if u.Decides {
			why = append(why, strings.TrimPrefix(factName(u.Fact)+": ", ": ")+u.Why)
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
