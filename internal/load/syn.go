//go:build linux

package load

import (
	"slices"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
)

// synStep is the shortest time in which the kernel may have sent a SYN again: the first
// retransmission timeout is 1 s (include/net/tcp.h TCP_TIMEOUT_INIT), a little less is for
// the rounding of timers.
const synStep = 900 * time.Millisecond

// synSteps counts them.
type synSteps struct {
	mu  sync.Mutex
	all []SYNStep
}

// stepped looks at a connection that took long. It asks the kernel how often the SYN was
// sent again.
func (w *worker) stepped(fd int) {
	// clock is the time of the connect here, or of a little before it.
	if waited := w.now() - w.clock; waited >= int64(synStep) {
		w.steps.note(fd, time.Duration(waited))
	}
}

func (s *synSteps) note(fd int, waited time.Duration) {
	again, e := fastsock.Retransmits(fd)
	if e != 0 || again == 0 {
		return // slow for another reason
	}
	s.add(SYNStep{
		Seconds: int(waited.Round(time.Second) / time.Second), Retransmits: int(again),
		Connections: 1,
	})
}

func (s *synSteps) add(step SYNStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(o SYNStep) bool {
		return o.Seconds == step.Seconds && o.Retransmits == step.Retransmits
	})
	if i < 0 {
		i, s.all = len(s.all), append(s.all,
			SYNStep{Seconds: step.Seconds, Retransmits: step.Retransmits})
	}
	s.all[i].Connections += step.Connections
}

// list is sorted by time.
func (s *synSteps) list() []SYNStep {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.all)
	slices.SortFunc(out, func(a, b SYNStep) int {
		return a.Seconds*1000 + a.Retransmits - b.Seconds*1000 - b.Retransmits
	})
	return out
}
