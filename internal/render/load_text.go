package render

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/load/result"
)

// LoadText writes what a load reached for a terminal: one label and what belongs to it a
// line. All figures were measured by the run.
func LoadText(w io.Writer, r *result.Report, style Style) error {
	t := loadScreen{newScreen(style)}
	t.verdict(r)
	t.connections(r)
	t.times(r)
	t.failures(r)
	t.cost(r)
	t.kernel(r)
	t.server(r.Server)
	t.line(0, span{"All figures were measured by this run.", dim})
	return t.flush(w)
}

// loadScreen has labelled lines.
type loadScreen struct{ *screen }

// loadColumn is where the words behind a label begin.
const loadColumn = 17

func (t loadScreen) add(label, format string, args ...any) {
	t.labelled(2, label, loadColumn, text(fmt.Sprintf(format, args...)))
}

func (t loadScreen) verdict(r *result.Report) {
	switch {
	case r.Role == "serve":
		t.para(0, 2, text(count(r.Established)+" connections accepted on "+r.Target+
			peakText(r)))
	case r.GoalMet:
		t.para(0, 2, span{loadTitle(r), bold}, text(": "), span{"the goal was met", green})
	default:
		t.para(0, 2, span{loadTitle(r), bold}, text(": "),
			span{"the goal was not met", red})
		for _, m := range r.Missed {
			t.add("missed", "%s", m)
		}
	}
	if r.Stopped != "" {
		t.add("stopped", "%s", stopText(r.Stopped))
	}
	if r.BoundBy != "" {
		t.add("bound by", "%s: %s", r.BoundBy,
			cmp.Or(r.Because, "maxconn explain "+r.BoundBy))
	}
}

func stopText(why string) string {
	if why == result.StoppedMemory {
		return "free memory and page cache fell to what is to be kept free"
	}
	return why
}

// loadTitle is what was asked for.
func loadTitle(r *result.Report) string {
	what := count(r.Wanted) + " connections"
	if r.Wanted == 0 {
		what = "connections"
	}
	at := ""
	if r.Target != "" {
		at = " to " + r.Target
	}
	if r.Role == "pair" {
		at = ", both ends here"
	}
	switch r.Mode {
	case result.Churn:
		rate := "as fast as possible"
		if r.WantedRate > 0 {
			rate = fmt.Sprintf("at %s/s", count(int64(r.WantedRate)))
		}
		return fmt.Sprintf("churn%s, %s, closed by %s", at, rate, r.Close)
	case result.Burst:
		return "a burst of " + what + at
	case result.Talk:
		return what + at + ", idle and then talking"
	}
	return what + " held" + at
}

func (t loadScreen) connections(r *result.Report) {
	if r.Role == "serve" {
		return
	}
	t.add("established", "%s of %s attempted, in %s: %s/s", count(r.Established),
		count(r.Attempted), roundTime(r.Seconds), count(int64(r.Rate)))
	if r.Mode != result.Churn {
		t.add("open", "at most %s at one time, %s at the end", count(r.PeakOpen),
			count(r.Held))
	}
	if r.Answered > 0 {
		t.add("answers", "%s", count(r.Answered))
	}
	if r.Messages > 0 {
		t.add("messages", "%s", count(r.Messages))
	}
	if r.PortsSkipped > 0 {
		t.add("ports", "%s were in use by other programs and skipped",
			count(r.PortsSkipped))
	}
}

func (t loadScreen) times(r *result.Report) {
	if r.Connect.Seen > 0 {
		t.add("connect time", "%s", timesText(r.Connect))
	}
	if r.Answer != nil {
		t.add("answer time", "%s", timesText(*r.Answer))
	}
	for _, s := range r.SYNSteps {
		t.add("SYN again", "%s connections after %d s, their SYN sent again %d times",
			count(s.Connections), s.Seconds, s.Retransmits)
	}
}

func timesText(t result.Times) string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", micros(t.P50), micros(t.P90),
		micros(t.P99), micros(t.P999), micros(t.Max))
}

func (t loadScreen) failures(r *result.Report) {
	for _, f := range r.Failures {
		t.add("failed", "%s at %s: %s, the first after %.1f s with %s open", count(f.Count),
			f.Phase, f.Errno, f.First, count(f.Open))
	}
	if r.WorkersLost > 0 {
		t.add("workers", "%d ended before they should", r.WorkersLost)
	}
}

func (t loadScreen) cost(r *result.Report) {
	if per := memoryText(r.Bytes); per != "" {
		t.add("memory", "%s for each connection; the program has %d MiB", per,
			r.Bytes.UserTotal>>20)
	}
	if r.CPU != nil {
		ends := "at this end"
		if r.Role == "pair" {
			ends = "both ends"
		}
		t.add("CPU time", "%.1f us for each connection, %s", *r.CPU, ends)
	}
	how := "a descriptor table each"
	switch {
	case r.Processes > 0:
		how = fmt.Sprintf("in %d processes", r.Processes)
	case r.Tables == 1:
		how = "one descriptor table"
	}
	t.add("workers", "%d, %s; a table takes %s descriptors", max(r.Tables, r.Processes), how,
		count(r.FileLimit))
}

// memoryText is what was measured of the memory for one connection, "" where nothing was.
func memoryText(b result.BytesPer) string {
	var said []string
	for _, part := range []struct {
		bytes *int64
		of    string
	}{{b.Kernel, "of the kernel"}, {b.Slab, "in its object caches"},
		{b.User, "of this program"}} {
		if part.bytes != nil {
			said = append(said, count(*part.bytes)+" bytes "+part.of)
		}
	}
	return strings.Join(said, ", ")
}

// tellingCounters say why connections fail or wait; others are in the JSON form.
func tellingCounters() []string {
	return []string{
		"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop",
		"TcpExt.TCPReqQFullDoCookies", "TcpExt.SyncookiesSent", "TcpExt.SyncookiesFailed",
		"TcpExt.TCPTimeWaitOverflow", "TcpExt.TCPAbortOnMemory", "TcpExt.TCPAbortOnTimeout",
		"TcpExt.TCPSynRetrans", "TcpExt.TCPTimeouts", "TcpExt.TCPMemoryPressures",
		"TcpExt.TW", "TcpExt.TWRecycled",
		"TcpExt.PruneCalled", "TcpExt.TCPBacklogDrop", "Tcp.AttemptFails",
		"Tcp.EstabResets", "Tcp.RetransSegs",
	}
}

func (t loadScreen) kernel(r *result.Report) {
	var said []string
	for _, c := range r.Counters {
		if slices.Contains(tellingCounters(), c.Name) {
			said = append(said, strings.TrimPrefix(c.Name, "TcpExt.")+" "+
				figure.Separate(fmt.Sprintf("%+d", c.By)))
		}
	}
	if said != nil {
		t.add("counters", "%s", strings.Join(said, ", "))
	}
	if r.Before != nil && r.After != nil {
		held := ""
		if r.AtPeak != nil {
			held = fmt.Sprintf(", %s while held", count(r.AtPeak.Inuse))
		}
		t.add("sockets",
			"%s before%s, %s after (TIME_WAIT %s, then %s; orphans %s, then %s)",
			count(r.Before.Inuse), held, count(r.After.Inuse),
			count(r.Before.TimeWait), count(r.After.TimeWait), count(r.Before.Orphans),
			count(r.After.Orphans))
	}
}

// peakText is how many connections a server was seen to have. It is looked at some times a
// second: a short peak may have been higher, or not seen at all.
func peakText(r *result.Report) string {
	if r.PeakOpen == 0 {
		return ""
	}
	return ", " + count(r.PeakOpen) + " seen open at one time"
}

// server is the other end of a run that needed one.
func (t loadScreen) server(r *result.Report) {
	if r == nil {
		return
	}
	held := ""
	if r.AtPeak != nil {
		held = fmt.Sprintf("; the kernel counts %s sockets in its network namespace",
			count(r.AtPeak.Inuse))
	}
	t.add("server", "%s accepted%s%s", count(r.Established), peakText(r), held)
	for _, f := range r.Failures {
		t.add("", "%s at %s: %s, the first with %s open", count(f.Count), f.Phase, f.Errno,
			count(f.Open))
	}
}

// roundTime is 1.23s, 1m2s: what a run took.
func roundTime(s float64) string {
	return time.Duration(s * 1e9).Round(10 * time.Millisecond).String()
}

// micros is a time of a histogram, known to 1 %.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e4:
		return fmt.Sprintf("%.0f ms", us/1e3)
	case us >= 1e3:
		return fmt.Sprintf("%.1f ms", us/1e3)
	case us >= 100:
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.1f us", us)
}

// LoadLine is a sample in one line, for a live display.
func LoadLine(s result.Sample) string {
	failed := ""
	if s.Failed > 0 {
		failed = ", " + count(s.Failed) + " failed"
	}
	return fmt.Sprintf("%.0f s: %s established, %s/s, %s open%s, %d MiB free", s.Seconds,
		count(s.Established), count(int64(s.PerSecond)), count(s.Open), failed, s.Free>>20)
}

// LoadJSON writes what a load reached in its stable form.
func LoadJSON(w io.Writer, r *result.Report) error { return writeJSON(w, *r) }

// LoadCSV writes the time series of a load, a line for each sample under a head.
func LoadCSV(w io.Writer, r *result.Report) error {
	rows := [][]string{{"t", "attempted", "established", "open", "failed", "per_second",
		"messages", "free_memory", "cpu_s"}}
	for _, s := range r.Series {
		rows = append(rows, []string{
			decimal(s.Seconds, 3), whole(s.Attempted), whole(s.Established),
			whole(s.Open), whole(s.Failed), decimal(s.PerSecond, 1), whole(s.Messages),
			whole(s.Free), decimal(s.CPU, 3),
		})
	}
	return csv.NewWriter(w).WriteAll(rows)
}

func decimal(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }
func whole(n int64) string                 { return strconv.FormatInt(n, 10) }
