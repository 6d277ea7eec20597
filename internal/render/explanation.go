package render

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// ExplanationSchema names the JSON form of an Explanation. Fields may be added, none renamed.
const ExplanationSchema = "maxconn.explain/1"

// Explanation is what the catalogue and a snapshot say of one question: a limit, knobs by
// the name asked for, or the signs that a text shows, best first, and what else may be
// behind it.
type Explanation struct {
	Schema string        `json:"schema"`
	Query  string        `json:"query"`
	Host   diagnose.Host `json:"host"`
	// NoFigures is why there are no figures of a host, "" where there are.
	NoFigures string      `json:"no_figures,omitempty"`
	Limits    []LimitPage `json:"limits"`
	Knobs     []KnobPage  `json:"knobs"`
	Signs     []SignPage  `json:"signs"`
	// OtherCauses are what the errno may mean apart from these.
	OtherCauses []limit.OtherCause `json:"other_causes"`
	// Words are counters, facts, states and the like that were asked for or stand in the text.
	Words []Word `json:"words"`
	// Ports and Addresses are those of the text that a program could not have.
	Ports     []PortPage    `json:"ports"`
	Addresses []AddressPage `json:"addresses"`
}

// LimitPage is all about one limit.
type LimitPage struct {
	ID      string        `json:"id"`
	Title   string        `json:"title"`
	Measure limit.Measure `json:"measure"`
	Scope   limit.Scope   `json:"scope"`
	Doc     string        `json:"doc"`
	Formula string        `json:"formula"`
	OnHost  OnHost        `json:"on_host"`
	Myths   []limit.Myth  `json:"myths"`
	Knobs   []KnobPage    `json:"knobs"`
	Signs   []SignPage    `json:"signs"`
	Sources []string      `json:"sources"`
}

// OnHost is a limit with a host's figures put in, for its busiest subjects.
type OnHost struct {
	Subjects []Figures `json:"subjects"`
	More     int       `json:"more"`             // further subjects
	Port     string    `json:"port,omitempty"`   // only listeners on this port are subjects
	Unseen   string    `json:"unseen,omitempty"` // why the limit could not be evaluated
}

// Figures is the formula step by step for one subject.
type Figures struct {
	Subject string        `json:"subject"`
	Process string        `json:"process"`
	PID     int64         `json:"pid"`
	Measure limit.Measure `json:"measure"`
	// what Ceiling and Used count where that is not connections
	Unit       string       `json:"unit,omitempty"`
	Ceiling    int64        `json:"ceiling"`
	Unbounded  bool         `json:"unbounded,omitempty"`
	AtMost     bool         `json:"at_most,omitempty"`
	CeilingHow limit.How    `json:"ceiling_how,omitempty"`
	Used       int64        `json:"used"`
	Cause      string       `json:"cause,omitempty"`
	Steps      []limit.Step `json:"steps"`
}

// mostSubjects is for how many subjects of a limit the arithmetic is shown.
const mostSubjects = 3

// Explain answers a question on a limit (by ID), a knob (by name), or an error or log line.
// ok is false where the catalogue knows nothing of it. The snapshot may be empty: then
// there are no figures.
func Explain(query string, s host.Snapshot) (e Explanation, ok bool) {
	e = Explanation{Schema: ExplanationSchema, Query: query, Host: diagnose.About(s)}
	if l := findLimit(query); l != nil {
		e.Limits = append(e.Limits, limitPage(l, s))
		return e, true
	}
	for _, k := range knob.Search(query) {
		e.Knobs = append(e.Knobs, knobPage(k, s, limit.Using(k.Name)...))
	}
	if e.Words = findWords(query, s); len(e.Knobs)+len(e.Words) > 0 {
		return e, true
	}
	e.message(s)
	return e, len(e.Signs)+len(e.OtherCauses)+len(e.Knobs)+len(e.Words) > 0
}

// message is what a text means, and what it names.
func (e *Explanation) message(s host.Snapshot) {
	at := limit.EndpointsIn(e.Query)
	for _, m := range limit.FindSigns(e.Query) {
		e.Signs = append(e.Signs, matchedPage(m, s, at))
	}
	e.OtherCauses = limit.FindOtherCauses(e.Query)
	for _, k := range knobsIn(e.Query) {
		e.Knobs = append(e.Knobs, knobPage(k, s, limit.Using(k.Name)...))
	}
	e.Words = wordsIn(e.Query, s)
	e.Addresses = addressPages(*e, s)
	if s.Len() > 0 {
		e.Ports = portPages(e.Query, s)
	}
}

// isBetween says that a character parts the names of a text.
func isBetween(r rune) bool { return strings.ContainsRune(" \t\n\"'`()[]{},;:<>=", r) }

// knobsIn are the settings that a text names whole or as a path.
func knobsIn(text string) (found []*knob.Knob) {
	for _, token := range strings.FieldsFunc(text, isBetween) {
		name, path := strings.CutPrefix(strings.Trim(token, "."), "/proc/sys/")
		if !path && strings.Count(name, ".") < 2 && knob.Lookup(name) == nil ||
			!path && !strings.Contains(name, ".") {
			continue
		}
		if k := knob.Search(name); len(k) == 1 && !slices.Contains(found, k[0]) {
			found = append(found, k[0])
		}
	}
	return found
}

// findLimit takes an ID as people and the kernel spell it: time-wait, time_wait, TIME_WAIT.
func findLimit(query string) *limit.Limit {
	id := strings.NewReplacer("_", "-", " ",
		"-").Replace(strings.ToLower(strings.TrimSpace(query)))
	return limit.Find(limit.ID(id))
}

func limitPage(l *limit.Limit, s host.Snapshot) LimitPage {
	p := LimitPage{
		ID:      string(l.ID),
		Title:   l.Title,
		Measure: l.Measure,
		Scope:   l.Scope,
		Doc:     l.Doc,
		Formula: l.Formula,
		OnHost:  onHost(l, s, nil),
		Myths:   l.Myths,
		Sources: l.Sources,
	}
	for _, name := range l.Knobs {
		if k := knob.Lookup(name); k != nil {
			p.Knobs = append(p.Knobs, knobPage(k, s, l))
		}
	}
	for _, sign := range l.Signs {
		p.Signs = append(p.Signs, signPage(l, sign))
	}
	return p
}

// onHost evaluates a limit, for the listener or the destination that a text names where it names
// one.
func onHost(l *limit.Limit, s host.Snapshot, named []limit.Endpoint) OnHost {
	if s.Len() == 0 {
		return OnHost{}
	}
	gauges, r := l.Evaluate(s, limit.Workload{})
	if err := r.Err(); err != nil {
		return OnHost{Unseen: err.Error()}
	}
	gauges, port := concerning(gauges, l, named)
	gauges = slices.DeleteFunc(gauges, func(g limit.Gauge) bool {
		return g.Blind() && g.Unbounded // no arithmetic to show
	})
	slices.SortStableFunc(gauges, func(a, b limit.Gauge) int {
		return cmp.Compare(share(b), share(a))
	})
	out := OnHost{Port: port}
	if len(gauges) == 0 {
		out.Unseen = unseenRows(l, s)
	}
	for _, g := range gauges[:min(len(gauges), mostSubjects)] {
		out.Subjects = append(out.Subjects, figures(g))
	}
	out.More = len(gauges) - len(out.Subjects)
	return out
}

// unseenRows is why rows of a table that a limit needs are missing, or "".
func unseenRows(l *limit.Limit, s host.Snapshot) string {
	for _, f := range l.Needs {
		if why := s.Read().Partial(f.Kind); why != "" && f == host.All(f.Kind) {
			return factName(f.String()) + ": " + why
		}
	}
	return ""
}

// share is how full a subject is; one that is refused more than it holds comes first.
func share(g limit.Gauge) float64 {
	if g.Unbounded || g.Ceiling <= 0 {
		return 0
	}
	return float64(g.Used) / float64(g.Ceiling)
}

func figures(g limit.Gauge) Figures {
	f := Figures{
		Subject: g.Subject.Name, Process: g.Subject.Process, PID: g.Subject.PID,
		Measure: g.Measure, Unit: g.Unit,
		Ceiling: g.Ceiling, Unbounded: g.Unbounded, AtMost: g.AtMost,
		CeilingHow: diagnose.CeilingHow(g), Used: g.Used, Cause: g.Cause, Steps: g.Steps,
	}
	return f
}
