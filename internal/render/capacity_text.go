package render

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// asksOutbound says whether the limits that were asked for bound outbound connections;
// otherwise the table would hold dashes alone.
func asksOutbound(r diagnose.Report) bool {
	return len(r.Asked) == 0 || slices.ContainsFunc(r.Capacity.Outbound,
		func(o diagnose.Outbound) bool {
			return o.BoundBy != "" || o.RateBy != ""
		})
}

// asksInbound says so of inbound ones.
func asksInbound(r diagnose.Report) bool {
	return len(r.Asked) == 0 || slices.ContainsFunc(r.Capacity.Inbound,
		func(i diagnose.Inbound) bool {
			return i.BoundBy != "" || i.BurstBy != ""
		})
}

func (s *screen) outbound(r diagnose.Report) {
	all := r.Capacity.Outbound
	if len(all) == 0 {
		s.none("OUTBOUND", "no outbound connections of this process",
			why(r, host.OutboundKind))
		return
	}
	busiest := all
	if !s.style.Verbose {
		// the first line is that of any destination
		busiest = all[:min(len(all), mostDestinations+1)]
	}
	t := table{columns: []column{
		{head: "OUTBOUND"}, {head: "process", spare: true, names: true},
		{head: "now", right: true}, {head: "can hold", right: true},
		{head: "bound by", joins: true}, {head: "new/s", right: true},
		{head: "bound by", joins: true},
	}}
	for _, o := range busiest {
		t.rows = append(t.rows, outboundRow(o))
	}
	s.table(t)
	s.more(len(all) - len(busiest))
	if len(all) == 1 && all[0].Destination == "" {
		s.partly("outbound connections", why(r, host.OutboundKind))
	}
}

func outboundRow(o diagnose.Outbound) []string {
	name, now := o.Source+" -> "+o.Destination, count(o.Now)
	if o.Destination == "" {
		name, now = "to any one destination", ""
	}
	held, by := ceiling(o.Held, o.BoundBy, o.HeldHow, o.AtMost)
	rate, rateBy := ceiling(o.PerSecond, o.RateBy, o.RateHow, o.RateAtMost)
	return []string{name, short(o.Process, o.PID), now, held, by, rate, rateBy}
}

func (s *screen) inbound(r diagnose.Report) {
	all := r.Capacity.Inbound
	if len(all) == 0 {
		s.none("INBOUND", "nothing listens here", why(r, host.ListenerKind))
		return
	}
	busiest := all
	if !s.style.Verbose {
		busiest = all[:min(len(all), mostListeners)]
	}
	t := table{columns: []column{
		{head: "INBOUND"}, {head: "process", names: true}, {head: "now", right: true},
		{head: "can hold", right: true}, {head: "bound by", joins: true},
		{head: "burst", right: true}, {head: "bound by", joins: true},
	}}
	for _, i := range busiest {
		t.rows = append(t.rows, inboundRow(i))
	}
	s.table(t)
	s.more(len(all) - len(busiest))
}

func inboundRow(i diagnose.Inbound) []string {
	held, by := ceiling(i.Held, i.BoundBy, i.HeldHow, i.AtMost)
	burst, burstBy := ceiling(i.Burst, i.BurstBy, i.BurstHow, i.BurstAtMost)
	name := i.Listener
	if i.Closed {
		name += " (closed)"
	}
	return []string{name, orNotSeen(short(i.Process, i.PID)), count(i.Now), held, by,
		burst, burstBy}
}

// ceiling is a figure and what sets it; where nothing that could be seen does, a dash.
func ceiling(n int64, by string, how limit.How, atMost bool) (string, string) {
	if by == "" {
		return "-", ""
	}
	return marked(n, how, atMost), by
}

// notSeen stands in place of what could not be seen.
const notSeen = "not seen"

func orNotSeen(s string) string { return cmp.Or(s, notSeen) }

// short names a process in a column.
func short(name string, pid int64) string {
	return strings.Replace(who(name, pid), " (pid ", " (", 1)
}

func (s *screen) more(n int) {
	if n > 0 {
		s.line(2, span{"+ " + count(int64(n)) + " more (--verbose or --json lists all)",
			dim})
	}
}

// none stands in place of a table without rows: there are none, or they could not be seen.
func (s *screen) none(head, nothing, unseen string) {
	if unseen != "" {
		nothing = "could not be seen: " + unseen
	}
	s.para(0, 2, span{head, bold}, text("  "+nothing))
}

func (s *screen) partly(what, unseen string) {
	if unseen != "" {
		s.para(2, 4, text(what+" could not be seen: "+unseen))
	}
}

// why is the reason that a table could not be read, or "".
func why(r diagnose.Report, k host.Kind) string {
	for _, u := range r.Unseen {
		if u.Fact == host.All(k).String() {
			return u.Why
		}
	}
	return ""
}
