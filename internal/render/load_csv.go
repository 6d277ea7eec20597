package render

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/maxconn/maxconn/internal/load/result"
)

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
