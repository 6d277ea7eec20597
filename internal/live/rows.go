package live

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Table names what has seats.
type Table string

const (
	Limits       Table = "limits"
	Listeners    Table = "listeners"
	Queues       Table = "queues" // that are not looked at between surveys
	Peers        Table = "destinations"
	Processes    Table = "processes"
	Findings     Table = "findings"
	Spaces       Table = "namespaces"
	Applied      Table = "settings"
	Snapshot     Table = "snapshot" // tables that a survey could not read whole
	otherSubject       = "other"
)

// Row is a limit of one subject: use and ceiling in connections, or in Unit.
type Row struct {
	Limit         limit.ID
	Scope         limit.Scope
	Subject       string // holds no pid
	Process       string
	Measure       limit.Measure
	Unit          string
	Used, Ceiling int64
	Unbounded     bool // no ceiling is known
	AtMost        bool // the true ceiling may be lower
	How           limit.How
	Severity      diagnose.Severity // of the finding about it, ""
	// Refused is how many a second were in the window of the survey; negative: nobody counts.
	Refused float64
	Trend   []Point // the last surveys, the oldest first
}

// Point is the use at the time of a survey.
type Point struct {
	At   time.Time
	Used int64
}

// Share is how full it is, 0 where no ceiling is known.
func (r Row) Share() float64 {
	switch {
	case r.Unbounded:
		return 0
	case r.Ceiling <= 0:
		return min(1, float64(r.Used))
	}
	return float64(r.Used) / float64(r.Ceiling)
}

// key tells the rows of a namespace apart.
func (r Row) key() string {
	return strings.Join([]string{string(r.Limit), r.Subject, string(r.kind()), r.Unit}, "\x00")
}

// kind is what makes two rows of a subject different figures: a rate is none of connections held.
func (r Row) kind() limit.Measure {
	if r.Measure == limit.PerSecond {
		return limit.PerSecond
	}
	return limit.Held
}

// BindsIn is when the use reaches the ceiling if it goes on as in the last 20 seconds or since the
// survey before; ok says that it is over half of the ceiling and rises.
func (r Row) BindsIn() (d time.Duration, ok bool) {
	if r.Unbounded || r.Share() < 0.5 || len(r.Trend) == 0 {
		return 0, false
	}
	last := r.Trend[len(r.Trend)-1]
	if r.Used >= r.Ceiling {
		return 0, true
	}
	first := r.Trend[max(0, min(len(r.Trend)-2, slices.IndexFunc(r.Trend, func(p Point) bool {
		return last.At.Sub(p.At) <= 20*time.Second
	})))]
	rise, took := last.Used-first.Used, last.At.Sub(first.At)
	if rise <= 0 || took <= 0 {
		return 0, false
	}
	left := float64(r.Ceiling-last.Used) * took.Seconds() / float64(rise)
	return time.Duration(min(left, longestForecast) * float64(time.Second)), true
}

// longestForecast is beyond what that can tell, in seconds.
const longestForecast = 7 * 24 * 3600

// trend is what a row was at the last surveys, the oldest first.
type trend struct{ used []Point }

// trendLength is how many surveys a trend goes back.
const trendLength = 60

func (t *trend) add(now time.Time, used int64) {
	if n := len(t.used); n > 0 && now.Before(t.used[n-1].At) {
		t.used = t.used[:0] // the clock was put back
	}
	if len(t.used) == trendLength {
		copy(t.used, t.used[1:])
		t.used = t.used[:trendLength-1]
	}
	t.used = append(t.used, Point{now, used})
}

// subjectOf names a subject by what stays the same when it comes again: no pid.
func subjectOf(s limit.Subject, d Destinations) string {
	switch {
	case s.Kind == limit.AnyPeer:
		return "any"
	case s.Destination != "" || s.Source != "":
		return cmp.Or(s.Source, "*") + " -> " + cmp.Or(destination(s.Destination, d), "*")
	case s.Listener != "":
		return s.Listener
	case s.Cgroup != "":
		return s.Cgroup
	case s.UID != "":
		return "uid " + s.UID
	case s.Kind == limit.Netns || s.Kind == limit.Host:
		return string(s.Kind)
	case s.Kind == limit.Process || s.PID != 0:
		return cmp.Or(s.Process, "unseen")
	}
	return s.Name
}

// destination is an address and port as far as it is to be told.
func destination(address string, d Destinations) string {
	switch {
	case address == "" || d == FullDestinations:
		return address
	case d == PortsOnly:
		return address[max(0, strings.LastIndexByte(address, ':')):]
	}
	return otherSubject
}

// seatLimits takes the gauges in: the fullest of each limit get rows.
func (n *space) seatLimits(now time.Time, o Options, gauges []limit.Gauge, window time.Duration) {
	worst := map[string]Row{}
	byLimit := map[limit.ID][]ranked{}
	for _, g := range gauges {
		if g.Subject == (limit.Subject{}) || g.Unbounded && g.Used == 0 {
			continue
		}
		r := Row{Limit: g.Limit.ID, Scope: cmp.Or(g.Subject.Kind, g.Limit.Scope),
			Subject: subjectOf(g.Subject, o.Destinations), Process: g.Subject.Process,
			Measure: g.Measure, Unit: g.Unit, Used: g.Used, Ceiling: g.Bound(),
			Unbounded: g.Unbounded, AtMost: g.AtMost || g.Doubt,
			How: diagnose.CeilingHow(g), Severity: diagnose.Judge(g), Refused: -1}
		if window > 0 && len(g.Limit.Refusals) > 0 {
			r.Refused = float64(g.Refused) / window.Seconds()
		}
		if o.Destinations == NoDestinations && g.Subject.Destination != "" {
			continue
		}
		if w, ok := worst[r.key()]; !ok || r.Share() > w.Share() {
			worst[r.key()] = r
		}
	}
	for key, r := range worst {
		byLimit[r.Limit] = append(byLimit[r.Limit], ranked{key, r.Share(), r.Used})
	}
	n.rows, n.others = n.rows[:0], n.others[:0]
	for id, rows := range byLimit {
		seats := seatsOf(n.limits, id, o.Rows)
		seats.assign(now, rows)
		rest := Row{Limit: id, Subject: otherSubject, Unbounded: true}
		for _, x := range rows {
			r := worst[x.key]
			if !seats.has(x.key) {
				n.left[Limits]++
				if r.Unit == "" && r.Measure != limit.PerSecond {
					rest.Scope, rest.Used = r.Scope, rest.Used+r.Used
				}
				continue
			}
			t := n.trends[x.key]
			if t == nil {
				t = &trend{}
				n.trends[x.key] = t
			}
			t.add(now, r.Used)
			n.rows = append(n.rows, r)
		}
		if rest.Used > 0 {
			n.others = append(n.others, rest)
		}
	}
}

func seatsOf[K comparable](all map[K]*seats, key K, most int) *seats {
	if all[key] == nil {
		all[key] = &seats{max: most}
	}
	return all[key]
}

// Finding is what a gauge has to say.
type Finding struct {
	Limit            limit.ID
	Scope            limit.Scope
	Subject, Process string // Subject holds no pid
	Severity         diagnose.Severity
}

// find takes the findings of a survey: of those that look alike the worst, the worst first.
func (n *space) find(o Options, gauges []limit.Gauge) {
	rank := func(s diagnose.Severity) int {
		return slices.Index([]diagnose.Severity{diagnose.Critical, diagnose.Warning,
			diagnose.Info}, s)
	}
	worst := map[Finding]diagnose.Severity{}
	for _, g := range gauges {
		f := Finding{Limit: g.Limit.ID, Scope: cmp.Or(g.Subject.Kind, g.Limit.Scope),
			Subject: subjectOf(g.Subject, o.Destinations), Process: g.Subject.Process}
		severity := diagnose.Judge(g)
		if w, ok := worst[f]; severity != "" && (!ok || rank(severity) < rank(w)) {
			worst[f] = severity
		}
	}
	n.findings = n.findings[:0]
	for f, severity := range worst {
		f.Severity = severity
		n.findings = append(n.findings, f)
	}
	slices.SortFunc(n.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)),
			cmp.Compare(a.Limit, b.Limit), cmp.Compare(a.Subject, b.Subject),
			cmp.Compare(a.Process, b.Process))
	})
	if most := o.Rows; len(n.findings) > most {
		n.left[Findings] += len(n.findings) - most
		n.findings = n.findings[:most]
	}
}

// Listener is a listening address; a SO_REUSEPORT group is one.
type Listener struct {
	Address, Process string
	// Queue is the length of the fullest queue at the last look, Peak the highest since the
	// scraper's last scrape, Ceiling what it holds.
	Queue, Peak, Ceiling             int64
	Dropped                          uint64
	Established, HalfOpen, CloseWait int64
	Looked                           bool // Queue, Peak and Dropped are known
}

// seatListeners takes the table of listeners in.
func (n *space) seatListeners(now time.Time, o Options, r *host.Reader) {
	found := map[string]Listener{}
	var rows []ranked
	for _, row := range r.Rows(host.ListenerKind) {
		name, member, _ := strings.Cut(row.Name(), "~")
		if member != "" {
			continue
		}
		in, _ := r.Row(host.InboundKind, name)
		l := Listener{Address: name, Process: row.Text("process"),
			Established: in.Count("ESTABLISHED"), HalfOpen: in.Count("SYN_RECV"),
			CloseWait: in.Count("CLOSE_WAIT"), Ceiling: row.Count("limit") + 1}
		share := float64(row.Count("queue")) / float64(l.Ceiling)
		if a, err := netip.ParseAddrPort(name); err == nil && n.queues[a] != nil {
			share = max(share, float64(n.queues[a].minute[0])/float64(l.Ceiling))
		}
		found[name] = l
		rows = append(rows, ranked{name, share, l.Established})
	}
	seats := seatsOf(n.tables, Listeners, o.Rows)
	seats.assign(now, rows)
	n.listeners = map[netip.AddrPort]Listener{}
	for name, l := range found {
		a, err := netip.ParseAddrPort(name)
		if err != nil || !seats.has(name) {
			n.left[Listeners]++
			continue
		}
		n.listeners[a] = l
	}
	n.partial(r, host.ListenerKind, host.InboundKind)
}

// partial counts the tables of which rows are missing.
func (n *space) partial(r *host.Reader, kinds ...host.Kind) {
	for _, k := range kinds {
		if r.Partial(k) != "" {
			n.left[Snapshot]++
		}
	}
}

// Destination is the other end of outbound connections, of all local addresses together.
type Destination struct {
	Address, Process               string
	Established, SYNSent, TimeWait int64
	Others                         int64 // in other states
	Ceiling                        int64 // 0: not known
}

func (n *space) seatDestinations(now time.Time, o Options, r *host.Reader, gauges []limit.Gauge) {
	n.peers = n.peers[:0]
	if o.Destinations == NoDestinations {
		return
	}
	found := map[string]*Destination{}
	for _, row := range r.Rows(host.OutboundKind) {
		_, address, _ := strings.Cut(row.Name(), "->")
		d := n.peer(found, destination(address, o.Destinations), row.Text("process"))
		d.Established += row.Count("ESTABLISHED")
		d.SYNSent += row.Count("SYN_SENT")
		d.TimeWait += row.Count("TIME_WAIT")
		d.Others += row.Sockets() - row.Count("ESTABLISHED") - row.Count("SYN_SENT") -
			row.Count("TIME_WAIT")
	}
	for _, g := range gauges {
		to := g.Subject.Destination
		held := g.Measure == limit.Held && g.Bounds&limit.Outbound != 0 && g.Unit == ""
		if held && !g.Unbounded && to != "" {
			name := destination(to, o.Destinations)
			if d := found[name]; d != nil {
				d.Ceiling += g.Bound()
			}
		}
	}
	var rows []ranked
	for name, d := range found {
		sum := d.Established + d.SYNSent + d.TimeWait + d.Others
		rows = append(rows, ranked{name, float64(sum) / float64(max(d.Ceiling, 1)), sum})
		if d.Ceiling == 0 {
			rows[len(rows)-1].share = 0
		}
	}
	seats := seatsOf(n.tables, Peers, o.Rows)
	seats.assign(now, rows)
	for _, x := range rows {
		if seats.has(x.key) {
			n.peers = append(n.peers, *found[x.key])
		} else {
			n.left[Peers]++
		}
	}
	n.partial(r, host.OutboundKind)
}

// peer is the entry of a destination. Where several processes have it, none is named.
func (n *space) peer(found map[string]*Destination, name, process string) *Destination {
	d := found[name]
	if d == nil {
		d = &Destination{Address: name, Process: process}
		found[name] = d
	}
	if d.Process != process {
		d.Process = ""
	}
	return d
}

// Process is the fullest of the processes of one name and unit: what the others have left helps it
// nothing.
type Process struct {
	Name, Unit     string
	Files, Ceiling int64 // Ceiling 0: none
}

func (n *space) seatProcesses(now time.Time, o Options, r *host.Reader) {
	found := map[string]Process{}
	share := func(p Process) float64 {
		if p.Ceiling == 0 {
			return 0
		}
		return float64(p.Files) / float64(p.Ceiling)
	}
	for _, row := range r.Rows(host.ProcessKind) {
		files, ok := row.Int("files")
		if !ok {
			continue
		}
		p := Process{Name: row.Text("name"), Unit: row.Text("unit"), Files: files,
			Ceiling: row.Count("soft")}
		key := p.Name + "\x00" + p.Unit
		if w, ok := found[key]; !ok || share(p) > share(w) {
			found[key] = p
		}
	}
	var rows []ranked
	for key, p := range found {
		rows = append(rows, ranked{key, share(p), p.Files})
	}
	seats := seatsOf(n.tables, Processes, o.Rows)
	seats.assign(now, rows)
	n.processes = n.processes[:0]
	for _, x := range rows {
		if seats.has(x.key) {
			n.processes = append(n.processes, found[x.key])
		} else {
			n.left[Processes]++
		}
	}
	n.partial(r, host.ProcessKind)
}

// Figure is a table of the kernel that connections share, with its ceiling.
type Figure struct {
	Name          string // "tcp_memory_bytes"
	Help          string
	Used, Ceiling int64
}

// figures are those that a snapshot has both sides of.
func figures(r *host.Reader) (all []Figure) {
	page, _ := r.Maybe(host.System("page-size"))
	add := func(name, help string, unit int64, used, ceiling host.Fact, word int) {
		u, ok := r.Maybe(used)
		words := strings.Fields(r.Optional(ceiling))
		if !ok || word >= len(words) || unit == 0 {
			return
		}
		if c, err := strconv.ParseInt(words[word], 10, 64); err == nil {
			all = append(all, Figure{name, help, u * unit, c * unit})
		}
	}
	add("tcp_memory_bytes", "memory of the queues of all TCP sockets of the host", page,
		host.Sockstat("TCP.mem"), host.Sysctl("net.ipv4.tcp_mem"), 2)
	add("orphans", "TCP sockets of the host that no process holds any more", 1,
		host.Sockstat("TCP.orphan"), host.Sysctl("net.ipv4.tcp_max_orphans"), 0)
	add("time_wait_sockets", "sockets in TIME_WAIT of the network namespace", 1,
		host.Sockstat("TCP.tw"), host.Sysctl("net.ipv4.tcp_max_tw_buckets"), 0)
	add("conntrack_entries", "entries of the connection tracking table of the network "+
		"namespace", 1, host.Fact{Kind: host.ConntrackKind, Name: "entries"},
		host.Sysctl("net.netfilter.nf_conntrack_max"), 0)
	return all
}

func itoa(n int) string { return strconv.Itoa(n) }
