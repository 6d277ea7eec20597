package exporter

import (
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/live"
)

// metric is one of the names that are exported.
type metric struct {
	Name, Help string
	kind       prometheus.ValueType
	Labels     []string
	once       sync.Once
	made       *prometheus.Desc
}

// desc is made when it is needed: other verbs do not need it.
func (m *metric) desc() *prometheus.Desc {
	m.once.Do(func() { m.made = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil) })
	return m.made
}

const peakHelp = "Highest length of the accept queue since this scraper's last scrape on the " +
	"same connection; of the last half to whole minute for a scraper that is new. Looked at " +
	"every maxconn_look_interval_seconds, and all that the queue holds where the kernel " +
	"counted an overflow in between."

// The names. Use and ceiling are two metrics with the same labels, so that PromQL divides them.
var (
	ofLimit    = []string{"limit", "scope", "subject", "netns"}
	ofUnit     = append(slices.Clone(ofLimit), "unit")
	ofListener = []string{"listener", "process", "netns"}
	ofPeer     = []string{"destination", "process", "netns"}

	used = gauge("limit_used_connections",
		"Connections that a limit counts now.", ofLimit)
	ceiling = gauge("limit_ceiling_connections",
		"Connections that a limit allows; absent where that is not known.", ofLimit)
	usedRate = gauge("limit_used_connections_per_second",
		"New connections per second that a limit counts now.", ofLimit)
	ceilingRate = gauge("limit_ceiling_connections_per_second",
		"New connections per second that a limit allows; absent where that is not known.",
		ofLimit)
	usedUnits = gauge("limit_used_units",
		"What a limit counts now that is no connection: see the label unit.", ofUnit)
	ceilingUnits = gauge("limit_ceiling_units",
		"What a limit allows that is no connection; absent where that is not known.",
		ofUnit)
	upperBound = gauge("limit_ceiling_upper_bound",
		"1 where the true ceiling may be lower than the one that is exported.", ofLimit)
	refusals = counter("limit_refusals_total", "What a limit refused, dropped or killed "+
		"since the exporter began, as the kernel counts it: retransmissions are counted "+
		"again. Absent for limits that the kernel does not count.",
		[]string{"limit", "netns"})
	finding = gauge("finding_info", "1 for each finding of maxconn check.",
		[]string{"limit", "scope", "subject", "process", "netns", "severity"})
	verdict = gauge("verdict_info", "1 for the verdict of maxconn check: holds, binds or "+
		"unknown.", []string{"netns", "verdict"})
	queueNow = gauge("listener_accept_queue_connections",
		"Connections that wait for accept() now, in the fullest queue of the listener.",
		ofListener)
	queuePeak    = gauge("listener_accept_queue_peak_connections", peakHelp, ofListener)
	queueCeiling = gauge("listener_accept_queue_ceiling_connections",
		"Connections that the accept queue holds: the backlog and one.", ofListener)
	connections = gauge("listener_connections", "Connections of a listener by state.",
		append(slices.Clone(ofListener), "state"))
	dropped = counter("listener_dropped_total", "SYNs and ACKs that a listener dropped since "+
		"the exporter first saw it, retransmissions included; it begins anew with the "+
		"exporter.", ofListener)
	peers = gauge("destination_connections", "Outbound connections by destination and state.",
		append(slices.Clone(ofPeer), "state"))
	peerCeiling = gauge("destination_ceiling_connections", "Outbound connections that the "+
		"local ports allow to a destination, of the source addresses that have some.",
		ofPeer)
	files = gauge("process_open_files", "Descriptors of the fullest process of a name and "+
		"unit.", []string{"process", "unit"})
	filesCeiling = gauge("process_open_files_ceiling", "Descriptors that this process may "+
		"have: its soft RLIMIT_NOFILE.", []string{"process", "unit"})
	unreadable = gauge("unreadable_facts", "Facts that could not be read, by reason: what "+
		"they would have told is not known.", []string{"reason"})
	leftOut = gauge("rows_left_out", "Rows that are not exported, by table: there are more "+
		"than are told apart.", []string{"table"})
	inForce = gauge("setting_in_force", "1 where a value that maxconn apply has written is "+
		"there still, 0 where it is not; those that were rolled back are absent.",
		[]string{"setting"})
	surveyEvery = gauge("survey_interval_seconds", "Time from one survey to the next.", nil)
	lookEvery   = gauge("look_interval_seconds",
		"Time from one look at the accept queues to the next.", nil)
	surveyCPU = counter("survey_cpu_seconds_total",
		"Processor time that the surveys have taken.", nil)
	lastSurvey = gauge("last_survey_timestamp_seconds",
		"When the last survey ended that has seen something.", nil)
	build = gauge("build_info", "1, with the version.", []string{"version", "goversion"})
	// a histogram
	duration = gauge("survey_duration_seconds", "How long surveys took.", nil)
)

// metrics lists what the variables above name.
var metrics []*metric

func add(name, help string, kind prometheus.ValueType, labels []string) *metric {
	m := &metric{Name: "maxconn_" + name, Help: help, kind: kind, Labels: labels}
	metrics = append(metrics, m)
	return m
}

func gauge(name, help string, labels []string) *metric {
	return add(name, help, prometheus.GaugeValue, labels)
}

func counter(name, help string, labels []string) *metric {
	return add(name, help, prometheus.CounterValue, labels)
}

// collector hands one View to a registry, which lives for one scrape.
type collector struct {
	view    live.View
	version string
	out     chan<- prometheus.Metric
	seen    map[string]bool
}

// Describe describes nothing: which series there are depends on the host.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all series of the view.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.out, c.seen = out, map[string]bool{}
	v := c.view
	c.add(build, 1, c.version, runtime.Version())
	c.add(surveyEvery, v.Pace.Survey.Seconds())
	c.add(lookEvery, v.Pace.Look.Seconds())
	c.add(surveyCPU, v.Pace.Spent.Seconds())
	if !v.Surveyed.IsZero() {
		c.add(lastSurvey, float64(v.Surveyed.UnixMilli())/1000)
	}
	out <- prometheus.MustNewConstHistogram(duration.desc(), v.Durations.Count, v.Durations.Sum,
		v.Durations.Buckets)
	for table, n := range v.Left {
		c.add(leftOut, float64(n), string(table))
	}
	for reason, n := range v.Unreadable {
		c.add(unreadable, float64(n), reason)
	}
	for _, s := range v.Spaces {
		c.space(s)
	}
	for _, s := range v.Settings {
		c.add(inForce, map[bool]float64{true: 1}[s.Holds], s.Name)
	}
	c.files(v)
}

// add sends a series, once. A label may hold what others chose: a process name.
func (c *collector) add(m *metric, value float64, labels ...string) {
	for i, l := range labels {
		labels[i] = encode.Visible(strings.ToValidUTF8(l, "\ufffd"))
	}
	key := m.Name + "\x00" + strings.Join(labels, "\x00")
	if !c.seen[key] {
		c.seen[key] = true
		c.out <- prometheus.MustNewConstMetric(m.desc(), m.kind, value, labels...)
	}
}

func (c *collector) space(s live.Space) {
	for id, n := range s.Refused {
		c.add(refusals, float64(n), string(id), s.Name)
	}
	if s.Why != "" || s.At.IsZero() {
		c.add(verdict, 1, s.Name, string(diagnose.Unknown))
		return
	}
	c.add(verdict, 1, s.Name, string(s.Report.Verdict))
	for _, r := range s.Rows {
		c.row(r, s.Name)
	}
	for _, f := range s.Findings {
		c.add(finding, 1, string(f.Limit), string(f.Scope), f.Subject, f.Process, s.Name,
			string(f.Severity))
	}
	for _, l := range s.Listeners {
		c.listener(l, s.Name)
	}
	for _, d := range s.Destinations {
		at := []string{d.Address, d.Process, s.Name}
		state := func(name string, n int64) {
			c.add(peers, float64(n), append(slices.Clone(at), name)...)
		}
		state("established", d.Established)
		state("syn_sent", d.SYNSent)
		state("time_wait", d.TimeWait)
		if d.Ceiling > 0 {
			c.add(peerCeiling, float64(d.Ceiling), at...)
		}
	}
	for _, f := range s.Figures {
		c.add(figure(f.Name, "Now: "+f.Help), float64(f.Used), s.Name)
		name := f.Name + "_ceiling"
		if base, ok := strings.CutSuffix(f.Name, "_bytes"); ok {
			name = base + "_ceiling_bytes"
		}
		c.add(figure(name, "At most: "+f.Help), float64(f.Ceiling), s.Name)
	}
}

func figure(name, help string) *metric {
	return &metric{Name: "maxconn_" + name, Help: help + ".", kind: prometheus.GaugeValue,
		Labels: []string{"netns"}}
}

// row sends what a limit counts of a subject, and what it allows where that is known.
func (c *collector) row(r live.Row, netns string) {
	now, most := used, ceiling
	labels := []string{string(r.Limit), string(r.Scope), r.Subject, netns}
	switch {
	case r.Unit != "":
		now, most = usedUnits, ceilingUnits
		labels = append(labels, r.Unit)
	case r.Measure == limit.PerSecond:
		now, most = usedRate, ceilingRate
	}
	c.add(now, float64(r.Used), slices.Clone(labels)...)
	if r.Unbounded {
		return
	}
	c.add(most, float64(r.Ceiling), slices.Clone(labels)...)
	if r.AtMost {
		c.add(upperBound, 1, labels[:4]...)
	}
}

func (c *collector) listener(l live.Listener, netns string) {
	at := func(more ...string) []string {
		return append([]string{l.Address, l.Process, netns}, more...)
	}
	c.add(queueCeiling, float64(l.Ceiling), at()...)
	if l.Looked {
		c.add(queueNow, float64(l.Queue), at()...)
		c.add(queuePeak, float64(l.Peak), at()...)
		c.add(dropped, float64(l.Dropped), at()...)
	}
	c.add(connections, float64(l.Established), at("established")...)
	c.add(connections, float64(l.HalfOpen), at("syn_recv")...)
	c.add(connections, float64(l.CloseWait), at("close_wait")...)
}

// files sends the fullest process of each name and unit, over all namespaces.
func (c *collector) files(v live.View) {
	var all []live.Process
	for _, s := range v.Spaces {
		all = append(all, s.Processes...)
	}
	slices.SortStableFunc(all, func(a, b live.Process) int { // the fullest is sent, once
		return int(min(1, max(-1, b.Files*max(a.Ceiling, 1)-a.Files*max(b.Ceiling, 1))))
	})
	for _, p := range all {
		c.add(files, float64(p.Files), p.Name, p.Unit)
		if p.Ceiling > 0 {
			c.add(filesCeiling, float64(p.Ceiling), p.Name, p.Unit)
		}
	}
}
