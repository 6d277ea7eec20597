// Package without finds verdicts that rest on what is not known: it takes facts out of a
// snapshot and compares what check says before and after. It is for tests, of recorded hosts and
// of faults made in namespaces alike. Pure.
package without

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// hidden is why a fact is missing here: no reason that maxconn knows the meaning of.
const hidden = "taken out by a test"

// Complaints takes each fact, each field of a row and each group of them out of a snapshot. It
// lists where the verdict is then better, a figure is still exact that could be lower, or one
// is another than before and exact, or at most less than it was.
func Complaints(s host.Snapshot, w limit.Workload) (out []string) {
	c := newCase(s, w)
	seen := map[string]bool{}
	for _, r := range removals(s) {
		for _, complaint := range c.without(r) {
			if !seen[complaint] {
				seen[complaint] = true
				out = append(out, "without "+r.name+": "+complaint)
			}
		}
	}
	return out
}

// part is a fact or, of a table, one field of a row.
type part struct {
	fact  host.Fact
	field string
}

func (p part) String() string {
	if p.field == "" {
		return p.fact.String()
	}
	return p.fact.String() + "#" + p.field
}

// removal is parts that are taken out together.
type removal struct {
	name  string
	parts []part
}

func removals(s host.Snapshot) (out []removal) {
	kinds, fields := map[host.Kind][]part{}, map[string][]part{}
	seen := map[string]bool{}
	for _, f := range s.Facts() {
		if r, _ := s.Lookup(f); r.Err != "" {
			continue
		}
		if stays(f) {
			continue
		}
		whole := part{fact: f}
		kinds[f.Kind] = append(kinds[f.Kind], whole)
		like := alike(s, f)
		if !seen[like] {
			out = append(out, removal{whole.String(), []part{whole}})
		}
		for _, x := range fieldsOf(s, f) {
			if slices.Contains(counted, x.Name) || known(f, x.Name) {
				continue
			}
			p := part{f, x.Name}
			if !seen[like] {
				out = append(out, removal{p.String(), []part{p}})
			}
			all := string(f.Kind) + " *#" + x.Name
			fields[all] = append(fields[all], p)
		}
		seen[like] = true
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, removal{string(k) + " *", kinds[k]})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, removal{name, fields[name]})
	}
	for _, l := range limit.Catalogue() {
		out = append(out, removal{"what " + string(l.ID) + " needs", needed(s, l)})
	}
	return out
}

// alike is what listeners of one program have in common, but for port and inode: what is so of one
// is so of all. Of all else it is the fact.
func alike(s host.Snapshot, f host.Fact) string {
	if f.Kind != host.ListenerKind {
		return f.String()
	}
	return slices.DeleteFunc(slices.Clone(fieldsOf(s, f)),
		func(x host.Field) bool { return x.Name == "inode" }).String()
}

// stays says whether a fact is not taken out: what says that two samples were taken; what moved,
// which goes with what it speaks of; and a member of a group of listeners, which is observed as a
// whole.
func stays(f host.Fact) bool {
	_, other := sayAsMuch[f]
	return other || f == host.System("window") || f == host.System("glance") ||
		f.Kind == host.MovedKind ||
		f.Kind == host.ListenerKind && strings.Contains(f.Name, "~")
}

// counted are the fields that a row lacks where there is nothing to count: no reader can tell
// that from one that was taken out. Without a pids hierarchy of version 1 there is no pids_cgroup;
// where there is one, it is read from the same file as cgroup (/proc/PID/cgroup). A process on
// which no program decides has no filters.
var counted = append([]string{"fold", "files_below", "pids", "unaccepted_close_wait",
	"tables", "files_most", "pids_cgroup", "filters"},
	host.States...)

// known says whether a row is known to lack a field, or to have one: a peer that is this host does
// timestamps if its setting says so, and the root of a host has no limits.
func known(f host.Fact, field string) bool {
	return field == "timestamps" && strings.Contains(f.Name, "->127.") ||
		f.Kind == host.CgroupKind && f.Name == "/" && strings.HasSuffix(field, "_max")
}

// needed are the facts of a snapshot that a limit reads.
func needed(s host.Snapshot, l *limit.Limit) (parts []part) {
	for _, f := range s.Facts() {
		if _, other := sayAsMuch[f]; (other || !stays(f)) && (slices.Contains(l.Needs, f) ||
			slices.Contains(l.Needs, host.All(f.Kind))) {
			parts = append(parts, part{fact: f})
		}
	}
	return parts
}

func fieldsOf(s host.Snapshot, f host.Fact) host.Fields {
	if !f.Kind.IsTable() {
		return nil
	}
	row, _ := s.Read().Row(f.Kind, f.Name)
	return row.Fields
}

// take is the snapshot without the parts. What has moved of a counter goes with it.
func take(s host.Snapshot, parts []part) host.Snapshot {
	c := s.With()
	for _, p := range parts {
		if p.field == "" {
			c.Hide(p.fact, hidden)
			if p.fact.Kind.IsTable() {
				c.Miss(host.All(p.fact.Kind), hidden)
			}
			if p.fact.Kind == host.ListenerKind {
				hideMembers(&c, p.fact)
			}
			c = hideMoved(c, string(p.fact.Kind)+"/"+p.fact.Name)
			continue
		}
		c.Set(p.fact, slices.DeleteFunc(slices.Clone(fieldsOf(c, p.fact)),
			func(x host.Field) bool { return x.Name == p.field }).String())
		c = hideMoved(c, string(p.fact.Kind)+"/"+p.fact.Name+"/"+p.field)
	}
	return c
}

// hideMembers hides the further members of a SO_REUSEPORT group.
func hideMembers(s *host.Snapshot, first host.Fact) {
	for _, f := range s.Facts() {
		if f.Kind == first.Kind && strings.HasPrefix(f.Name, first.Name+"~") {
			s.Hide(f, hidden)
		}
	}
}

func hideMoved(s host.Snapshot, name string) host.Snapshot {
	if f := (host.Fact{Kind: host.MovedKind, Name: name}); has(s, f) {
		s.Hide(f, hidden)
	}
	return s
}

func has(s host.Snapshot, f host.Fact) bool { _, ok := s.Lookup(f); return ok }

// figure is a number that check prints.
type figure struct {
	value  int64
	atMost bool
}

// saying is what check says of a snapshot.
type saying struct {
	verdict  diagnose.Verdict
	worst    map[string]diagnose.Severity // by limit
	figures  map[string]figure
	reached  map[string]bool // figures that are in use: what could lower them did not
	evidence diagnose.Report
}

// say is what all limits say, or some.
func say(s host.Snapshot, w limit.Workload, limits ...string) saying {
	r := diagnose.Check(s, diagnose.Options{Workload: w, Limits: limits})
	out := saying{r.Verdict, map[string]diagnose.Severity{}, map[string]figure{},
		map[string]bool{}, r}
	for _, f := range r.Findings {
		if rank(f.Severity) > rank(out.worst[f.Limit]) {
			out.worst[f.Limit] = f.Severity
		}
		if !f.Unbounded {
			out.figures["finding "+f.Limit+" at "+f.Subject] = figure{f.Ceiling,
				f.AtMost}
		}
	}
	put := func(name, by string, value int64, atMost bool) {
		if by != "" {
			out.figures[name] = figure{value, atMost}
		}
	}
	for _, o := range r.Capacity.Outbound {
		name := o.Source + " -> " + o.Destination
		put("held "+name, o.BoundBy, o.Held, o.AtMost)
		out.reached["held "+name] = o.Now >= o.Held
		put("new/s "+name, o.RateBy, o.PerSecond, o.RateAtMost)
	}
	for _, i := range r.Capacity.Inbound {
		put("held at "+i.Listener, i.BoundBy, i.Held, i.AtMost)
		out.reached["held at "+i.Listener] = i.Now >= i.Held
		put("burst at "+i.Listener, i.BurstBy, i.Burst, i.BurstAtMost)
	}
	return out
}

func rank(s diagnose.Severity) int {
	return 3 - slices.Index([]diagnose.Severity{diagnose.Critical, diagnose.Warning,
		diagnose.Info, ""}, s)
}

// testCase is a snapshot and what was found out about it.
type testCase struct {
	snapshot host.Snapshot
	workload limit.Workload
	whole    saying
	lower    map[part]map[string]int64 // how low a figure is where the part is another
}

func newCase(s host.Snapshot, w limit.Workload) *testCase {
	return &testCase{s, w, say(s, w), map[part]map[string]int64{}}
}

func (c *testCase) without(r removal) (out []string) {
	have := say(take(c.snapshot, r.parts), c.workload)
	complain := func(format string, args ...any) {
		out = append(out, fmt.Sprintf(format, args...))
	}
	if have.verdict == diagnose.Holds && c.whole.verdict != diagnose.Holds {
		complain("the verdict is %s, it was %s", have.verdict, c.whole.verdict)
	}
	for _, id := range slices.Sorted(maps.Keys(c.whole.worst)) {
		was, is := c.whole.worst[id], have.worst[id]
		if rank(is) < rank(was) && was != diagnose.Info && !have.blames(id) {
			complain("%s is %q, it was %s, and nothing is said to be unseen", id, is,
				was)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.figures)) {
		is := have.figures[name]
		was, known := c.whole.figures[name]
		switch {
		case !known:
		case is.atMost && is.value < was.value && !strings.HasPrefix(name, "finding "):
			complain("%s is at most %d, it was %d", name, is.value, was.value)
		case !is.atMost && is.value != was.value:
			complain("%s is exactly %d, it was %d", name, is.value, was.value)
		case !is.atMost && !have.reached[name]:
			if low, lower := c.lowest(r, name); lower {
				complain("%s is exactly %d, and could be %d", name, is.value, low)
			}
		}
	}
	return out
}

// blames says whether the limit is said to lack a fact.
func (s saying) blames(id string) bool {
	return s.verdict != diagnose.Holds && slices.ContainsFunc(s.evidence.Unseen,
		func(u diagnose.Unseen) bool { return slices.Contains(u.Limits, id) })
}

// lowest is how low a figure can be where the parts are others than they are, if lower than
// it is.
func (c *testCase) lowest(r removal, name string) (low int64, lower bool) {
	low = c.whole.figures[name].value
	for _, p := range r.parts {
		if c.lower[p] == nil {
			c.lower[p] = c.lowestOf(p)
		}
		if n, ok := c.lower[p][name]; ok && n < low {
			low, lower = n, true
		}
	}
	return low, lower
}

// sayAsMuch are facts that say the same: without one the other still does.
var sayAsMuch = map[host.Fact]host.Fact{
	host.Sysctl("fs.file-max"): host.Sysctl("fs.file-nr"),
	host.Sysctl("net.netfilter.nf_conntrack_count"): {Kind: host.ConntrackKind,
		Name: "entries"},
}

func (c *testCase) lowestOf(p part) map[string]int64 {
	low := map[string]int64{}
	if has(c.snapshot, sayAsMuch[p.fact]) {
		return low
	}
	readers := readersOf(p.fact)
	if len(readers) == 0 {
		return low
	}
	for _, text := range others(c.snapshot, p) {
		for name, f := range say(set(c.snapshot, p, text), c.workload,
			readers...).figures {
			if was, known := c.whole.figures[name]; known && f.value < was.value {
				if n, ok := low[name]; !ok || f.value < n {
					low[name] = f.value
				}
			}
		}
	}
	return low
}

// readersOf are the limits that a fact can change: all, of what tells of connections and of who has
// them.
func readersOf(f host.Fact) (ids []string) {
	all := slices.Contains([]host.Kind{host.InboundKind, host.ListenerKind, host.OutboundKind,
		host.ProcessKind}, f.Kind)
	for _, l := range limit.Catalogue() {
		if all || slices.Contains(l.Needs, f) ||
			slices.Contains(l.Needs, host.All(f.Kind)) {
			ids = append(ids, string(l.ID))
		}
	}
	return ids
}

func set(s host.Snapshot, p part, text string) host.Snapshot {
	if p.field == "" {
		return s.With(host.Setting{Fact: p.fact, Want: text})
	}
	f := host.Fact{Kind: p.fact.Kind, Name: p.fact.Name + "#" + p.field}
	return s.With(host.Setting{Fact: f, Want: text})
}

// others are texts that the part might have had as well.
func others(s host.Snapshot, p part) []string {
	text := ""
	switch {
	case p.field != "":
		for _, x := range fieldsOf(s, p.fact) {
			if x.Name == p.field {
				text = x.Value
			}
		}
	case p.fact.Kind.IsTable(), p.fact.Kind == host.MovedKind,
		p.fact.Kind == host.CounterKind:
		return nil // of its fields, one by one
	default:
		r, _ := s.Lookup(p.fact)
		text = r.Text
	}
	switch {
	case p.fact == host.System("kernel"):
		return []string{"3.10.0", "4.4.0", "6.18.0"}
	case p.fact.Kind == host.PortsKind,
		strings.HasSuffix(p.fact.Name, "ip_local_reserved_ports"):
		return []string{"1024-65000"}
	case text == "yes", text == "no":
		return []string{"yes", "no"}
	case strings.Contains(text, " "):
		return []string{"1000 1001 1002"[:5*min(3, len(strings.Fields(text)))-1]}
	}
	return []string{"0", "1", "1000000"}
}
