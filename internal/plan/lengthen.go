package plan

import (
	"fmt"
	"slices"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Queue is a wanted limit for the accept queues of what listens at an address and port, or at a
// port whatever the address (":80").
type Queue struct {
	Listener string
	Limit    int64
}

// QueueError is a queue that cannot be lengthened while its program runs.
type QueueError struct {
	Listener string
	Absent   bool // nothing listens there
	Why      string
}

func (e *QueueError) Error() string {
	if e.Absent {
		return fmt.Sprintf("nothing listens on %s here", e.Listener)
	}
	return fmt.Sprintf("the accept queue of %s cannot be lengthened: %s", e.Listener, e.Why)
}

// Lengthen plans longer accept queues for listeners that run, for all members of a SO_REUSEPORT
// group alike: somaxconn first where it is lower, then each socket. A queue that is as long already
// is not in the plan, which lowers nothing. The error is a *QueueError.
func Lengthen(s host.Snapshot, queues []Queue, o Options) (Plan, error) {
	m := &maker{now: s, then: s, options: o, aim: Fit}
	for _, q := range queues {
		r := s.Read()
		gauges := limit.Queues(r, q.Listener)
		if err := r.Err(); len(gauges) == 0 && err != nil {
			return Plan{}, &QueueError{Listener: q.Listener, Why: err.Error()}
		} else if len(gauges) == 0 {
			return Plan{}, &QueueError{Listener: q.Listener, Absent: true}
		}
		for _, g := range gauges {
			remedies := g.Lift(q.Limit)
			// the cap is first, and says less
			for _, r := range slices.Backward(remedies) {
				if !r.IsChange() || !m.allowed(r.Change) {
					return Plan{},
						&QueueError{Listener: g.Subject.Name, Why: r.Text}
				}
			}
			for _, r := range remedies {
				m.take(taken{r, diagnose.Need{Gauge: g}})
			}
		}
	}
	return m.plan(), nil
}
