package limit

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// itoa is a number as settings and facts write it.
func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// plural is "1 port" or "12,000 ports".
func plural(n int64, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "y"):
		return figure.Count(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	case strings.HasSuffix(one, "s"), strings.HasSuffix(one, "ch"):
		return figure.Count(n) + " " + one + "es"
	}
	return figure.Count(n) + " " + one + "s"
}

// who names a process, as people do.
func who(name string, pid int64) string {
	switch {
	case pid == 0 && name == "":
		return "a process that could not be seen"
	case pid == 0:
		return name
	case name == "":
		return "pid " + itoa(pid)
	}
	return name + " (pid " + itoa(pid) + ")"
}

// windowed says whether two samples were taken. Then what moved between them tells of now, and what
// counters had reached before is no news: a gauge that has nothing else to tell says nothing.
func windowed(r *host.Reader) bool { return r.Has(host.System("window")) }

// Workload is what is wanted of the host. The zero value wants nothing in particular.
type Workload struct {
	Outbound []Goal
	Inbound  []Goal
}

// Goal is one wanted flow of connections.
type Goal struct {
	// Subject is the destination "10.0.0.9:5432" (outbound; a host name is the caller's to
	// resolve) or the listener "0.0.0.0:443" or ":443" (inbound).
	Subject   string
	Held      int64 // connections at one time; 0 = not asked
	PerSecond int64 // new connections each second; 0 = not asked
	Burst     int64 // new connections at once, of a listener; 0 = not asked
}

// Want is the goal's demand in this measure, 0 where it asks for nothing. A rate
// asks for no burst: the two are not compared.
func (g Goal) Want(m Measure) int64 {
	switch m {
	case Held:
		return g.Held
	case PerSecond:
		return g.PerSecond
	case Burst:
		return g.Burst
	}
	return 0
}

// Merged has one goal for each subject: the most that is asked of it in each measure.
func (w Workload) Merged() Workload { return Workload{merged(w.Outbound), merged(w.Inbound)} }

func merged(goals []Goal) (out []Goal) {
	places := map[string]int{}
	for _, g := range goals {
		i, known := places[g.Subject]
		if !known {
			places[g.Subject] = len(out)
			out = append(out, g)
			continue
		}
		o := &out[i]
		o.Held, o.PerSecond, o.Burst = max(o.Held, g.Held), max(o.PerSecond, g.PerSecond),
			max(o.Burst, g.Burst)
	}
	return out
}
