package limit

import (
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
)

// pace is how the application takes connections from the queue.
type pace int

const (
	keepsUp pace = iota // or it cannot be told
	tooSlow
	notAtAll
	processStopped
	processFrozen // with its cgroup
	outOfFiles    // accept() fails with EMFILE
)

// acceptPace tells an application that does not serve its queue from a queue that is short.
// A queue is first in, first out: while even the youngest has waited, nothing has been
// accepted for that long.
func acceptPace(r *host.Reader, g group, m member) pace {
	if p, ok := r.Row(host.ProcessKind, itoa(m.pid)); ok {
		if strings.EqualFold(p.Text("state"), "t") {
			return processStopped
		}
		if frozen(p) {
			return processFrozen
		}
		if t, ok := newFileTable(p); ok && t.full() && m.queue > 0 {
			return outOfFiles
		}
	}
	long := m.oldest.AtLeast(10 * time.Second)
	// so a short queue is not the whole story
	served := g.accepted > 0 || m.limit >= 128 || m.queue < m.capacity()
	switch {
	case m.queue == 0 || !m.oldest.AtLeast(stalled) || !(long || served):
		return keepsUp
	case m.youngest.AtLeast(stalled):
		return notAtAll
	}
	return tooSlow
}

// frozen says whether a process stands still with its cgroup.
func frozen(p host.Row) bool { return p.Text("frozen") == "yes" }
