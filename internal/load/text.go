//go:build linux

package load

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

// Text writes a report for people: one label and what belongs to it a line. Nothing in it came from outside but addresses and
// errnos.
func Text(w io.Writer, r *Report) error {
	t := &lines{}
	t.verdict(r)
	t.connections(r)
	t.times(r)
	t.failures(r)
	t.cost(r)
	t.kernel(r)
	t.add("", "All figures were measured by this run.")
	_, err := io.WriteString(w, t.b.String())
	return err
}

// lines are labelled.
type lines struct{ b strings.Builder }

const labelWidth = 14

func (t *lines) add(label, format string, args ...any) {
	if label != "" {
		format = fmt.Sprintf("  %-*s ", labelWidth, label) + format
	}
	fmt.Fprintf(&t.b, format+"\n", args...)
}

func (t *lines) verdict(r *Report) {
	switch {
	case r.Role == "serve":
		t.add("", "%s connections accepted on %s, at most %s at one time", count(r.Established), r.Target, count(r.PeakOpen))
	case r.GoalMet:
		t.add("", "%s: the goal was met", r.Title())
	default:
		t.add("", "%s: the goal was not met", r.Title())
		for _, m := range r.Missed {
			t.add("missed", "%s", m)
		}
	}
	if r.Stopped != "" {
		t.add("stopped", "%s", stopText(r.Stopped))
	}
	if r.BoundBy != "" {
		t.add("bound by", "%s: %s", r.BoundBy, cmp.Or(r.Because, "maxconn explain "+r.BoundBy))
	}
}

func stopText(why string) string {
	switch why {
	case "memory":
		return "free memory and page cache fell to what is to be kept free"
	case "interrupted":
		return "interrupted"
	}
	return why
}

// Title is what was asked for.
func (r *Report) Title() string {
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
	case Churn:
		rate := "as fast as possible"
		if r.WantedRate > 0 {
			rate = fmt.Sprintf("at %s/s", count(int64(r.WantedRate)))
		}
		return fmt.Sprintf("churn%s, %s, closed by %s", at, rate, r.Close)
	case Burst:
		return "a burst of " + what + at
	case Talk:
		return what + at + ", idle and then talking"
	}
	return what + " held" + at
}

func (t *lines) connections(r *Report) {
	if r.Role == "serve" {
		return
	}
	t.add("established", "%s of %s attempted, in %s: %s/s", count(r.Established), count(r.Attempted), seconds(r.Seconds), count(int64(r.Rate)))
	if r.Mode != Churn {
		t.add("open", "at most %s at one time, %s at the end", count(r.PeakOpen), count(r.Held))
	}
	if r.Answered > 0 {
		t.add("answers", "%s", count(r.Answered))
	}
	if r.Messages > 0 {
		t.add("messages", "%s", count(r.Messages))
	}
	if r.PortsSkipped > 0 {
		t.add("ports", "%s were taken by others and passed over", count(r.PortsSkipped))
	}
}

func (t *lines) times(r *Report) {
	if r.Connect.Seen > 0 {
		t.add("connect time", "%s", timesText(r.Connect))
	}
	if r.Answer != nil {
		t.add("answer time", "%s", timesText(*r.Answer))
	}
	for _, s := range r.SYNSteps {
		t.add("SYN again", "%s connections after %d s, their SYN sent again %d times", count(s.Connections), s.Seconds, s.Retransmits)
	}
}

func timesText(t Times) string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", micros(t.P50), micros(t.P90), micros(t.P99), micros(t.P999), micros(t.Max))
}

func (t *lines) failures(r *Report) {
	for _, f := range r.Failures {
		t.add("failed", "%s at %s: %s, the first after %.1f s with %s open", count(f.Count), f.Phase, f.Errno, f.First, count(f.Open))
	}
	if r.WorkersLost > 0 {
		t.add("workers", "%d ended before they should", r.WorkersLost)
	}
}

func (t *lines) cost(r *Report) {
	if k, u := r.Bytes.Kernel, r.Bytes.User; k != nil && u != nil {
		t.add("memory", "%s bytes of the kernel and %s of this program for each connection%s; the program has %d MiB", count(*k), count(*u), slabText(r), r.Bytes.UserTotal>>20)
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
	t.add("workers", "%d, %s; a table takes %s descriptors", max(r.Tables, r.Processes), how, count(r.FileLimit))
}

func slabText(r *Report) string {
	if r.Bytes.Slab == nil {
		return ""
	}
	return " (object caches grew by " + count(*r.Bytes.Slab) + ")"
}

// telling are counters that say why connections fail or wait; others are in the JSON form.
func telling() []string {
	return []string{
		"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPReqQFullDoCookies", "TcpExt.SyncookiesSent", "TcpExt.SyncookiesFailed",
		"TcpExt.TCPTimeWaitOverflow", "TcpExt.TCPAbortOnMemory", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPSynRetrans", "TcpExt.TCPTimeouts", "TcpExt.TCPMemoryPressures", "TcpExt.TW", "TcpExt.TWRecycled",
		"TcpExt.PruneCalled", "TcpExt.TCPBacklogDrop", "Tcp.AttemptFails", "Tcp.EstabResets", "Tcp.RetransSegs",
	}
}

func (t *lines) kernel(r *Report) {
	var said []string
	for _, c := range r.Counters {
		if slices.Contains(telling(), c.Name) {
			said = append(said, fmt.Sprintf("%s %+d", strings.TrimPrefix(c.Name, "TcpExt."), c.By))
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
		t.add("sockets", "%s before%s, %s after (TIME_WAIT %s, then %s; orphans %s, then %s)", count(r.Before.Inuse), held, count(r.After.Inuse),
			count(r.Before.TimeWait), count(r.After.TimeWait), count(r.Before.Orphans), count(r.After.Orphans))
	}
}

func count(n int64) string { return limit.Count(n) }

func seconds(s float64) string {
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

// Line is a sample in one line, for a live display.
func (s Sample) Line() string {
	failed := ""
	if s.Failed > 0 {
		failed = ", " + count(s.Failed) + " failed"
	}
	return fmt.Sprintf("%.0f s: %s established, %s/s, %s open%s, %d MiB free", s.Seconds, count(s.Established), count(int64(s.PerSecond)), count(s.Open), failed, s.Free>>20)
}
