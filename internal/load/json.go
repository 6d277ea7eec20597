//go:build linux

package load

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// JSON writes a report in its stable form.
func JSON(w io.Writer, r *Report) error {
	c := *r
	if c.Failures == nil {
		c.Failures = []Failure{}
	}
	if c.Missed == nil {
		c.Missed = []string{}
	}
	if c.SYNSteps == nil {
		c.SYNSteps = []SYNStep{}
	}
	if c.Counters == nil {
		c.Counters = []Moved{}
	}
	if c.Series == nil {
		c.Series = []Sample{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

// CSV writes the time series, a line for each sample under a head.
func CSV(w io.Writer, r *Report) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"t", "attempted", "established", "open", "failed", "per_second", "messages", "free_memory", "cpu_s"}}
	for _, s := range r.Series {
		rows = append(rows, []string{
			decimal(s.Seconds, 3), whole(s.Attempted), whole(s.Established), whole(s.Open), whole(s.Failed), decimal(s.PerSecond, 1), whole(s.Messages), whole(s.Free), decimal(s.CPU, 3),
		})
	}
	return c.WriteAll(rows)
}

func decimal(f float64, digits int) string { return strconv.FormatFloat(f, 'f', digits, 64) }
func whole(n int64) string                 { return strconv.FormatInt(n, 10) }
