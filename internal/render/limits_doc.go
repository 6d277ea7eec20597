package render

import (
	"io"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// LimitsDoc writes docs/limits.md: the whole catalogue, one section a limit with its ID as
// the anchor. It depends on the catalogue alone.
func LimitsDoc(w io.Writer, limits []*limit.Limit) error {
	m := &markdown{}
	m.b.Write("<!-- Generated from internal/limit by go generate ./cmd/maxconn; do not " +
		"edit. -->\n")
	m.heading(1, "Limits")
	m.paragraph("Everything finite that TCP connections use up on Linux, as `maxconn " +
		"explain` tells it. " +
		"A ceiling counts connections held at one time, new connections per second, or " +
		"connections at once (a burst); the three are never compared.")
	var rows [][]md
	for _, l := range limits {
		id := prose(string(l.ID))
		rows = append(rows, []md{"[" + id + "](#" + id + ")", prose(string(l.Measure)),
			prose(string(l.Scope)), prose(l.Title)})
	}
	m.table([]md{"limit", "of", "for each", "title"}, rows)
	for _, l := range limits {
		m.heading(2, prose(string(l.ID)))
		m.limitPage(limitPage(l, host.Snapshot{}))
	}
	return m.flush(w)
}
