package host

import (
	"strconv"
	"time"
)

// monotonic are the fields of table rows that count events, so that a
// difference between two samples means "this many in the window".
var monotonic = map[Kind][]string{
	SoftnetKind:  {"dropped", "squeezed", "processed"},
	LinkKind:     {"rx_dropped", "tx_dropped"},
	QdiscKind:    {"drops", "overlimits", "packets"},
	ListenerKind: {"drops"},
	RuleKind:     {"packets"},
	AllowanceKind: {"conntrack_allowance_exceeded", "pps_allowance_exceeded",
		"bw_in_allowance_exceeded", "bw_out_allowance_exceeded",
		"linklocal_allowance_exceeded", "rx_ratelimit_packets", "tx_ratelimit_packets",
		"rx_ratelimit_bytes", "tx_ratelimit_bytes"},
	CgroupKind: {"memory_events_max", "memory_events_oom", "memory_failcnt",
		"pids_events_max"},
}

// Window is the later of two samples of one subject, with what moved between
// them as facts of kind moved. length is the time between the two.
func Window(before, after Snapshot, length time.Duration) Snapshot {
	w := after.With()
	w.Set(System("window"), length.Round(time.Millisecond).String())
	if !sameSubject(before, after) {
		return w // nothing of one moved to the other
	}
	for f, r := range after.readings {
		was, ok := before.readings[f]
		if !ok || r.Err != "" || was.Err != "" {
			continue
		}
		if fields, ok := monotonic[f.Kind]; ok {
			moveRow(&w, f, fields, was.Text, r.Text)
		} else if !f.Kind.IsTable() && f.Kind != SysctlKind && f.Kind != SystemKind {
			move(&w, string(f.Kind)+"/"+f.Name, was.Text, r.Text)
		}
	}
	return w
}

// Baseline is what Window needs of the earlier of two samples, to be kept until the later one: no
// table of connections or processes.
func Baseline(s Snapshot) Snapshot {
	var out Snapshot
	for f, r := range s.readings {
		if _, counts := monotonic[f.Kind]; counts || !f.Kind.IsTable() &&
			f.Kind != SysctlKind && f.Kind != PortsKind {
			switch {
			case r.Err == "":
				out.Set(f, r.Text)
			case f == All(f.Kind): // rows are missing
				out.Miss(f, r.Err)
			}
		}
	}
	return out
}

// sameSubject says whether two samples are of one network namespace of one boot. Its inode number
// may be another one's by the time of the second.
func sameSubject(a, b Snapshot) bool {
	for _, name := range []string{"netns", "netns-cookie"} {
		x, known := a.readings[System(name)]
		y, alsoKnown := b.readings[System(name)]
		if known && alsoKnown && x.Err == "" && y.Err == "" && x.Text != y.Text {
			return false
		}
	}
	return true
}

// Glance is the earlier of two samples of which the later one was of some counters alone. What
// moved between them is in it, and nothing else of the later one: the snapshot is one sample still,
// and what its counters had reached before is news.
func Glance(first, later Snapshot, length time.Duration) Snapshot {
	g := first.With()
	g.Set(System("glance"), max(length.Round(time.Second), time.Second).String())
	if !sameSubject(first, later) {
		return g
	}
	for f, r := range later.readings {
		was, ok := first.readings[f]
		switch fields, table := monotonic[f.Kind]; {
		case !ok || r.Err != "" || was.Err != "":
		case table:
			moveRow(&g, f, fields, was.Text, r.Text)
		default:
			move(&g, string(f.Kind)+"/"+f.Name, was.Text, r.Text)
		}
	}
	return g
}

func moveRow(w *Snapshot, f Fact, fields []string, before, after string) {
	was, is := parseFields(before), parseFields(after)
	for _, name := range fields {
		a, _ := was.Lookup(name)
		b, _ := is.Lookup(name)
		move(w, string(f.Kind)+"/"+f.Name+"/"+name, a, b)
	}
}

func move(w *Snapshot, name, before, after string) {
	a, ok1 := parseInt(before)
	b, ok2 := parseInt(after)
	if ok1 && ok2 && a != b {
		w.Set(Fact{MovedKind, name}, strconv.FormatInt(b-a, 10))
	}
}
