//go:build linux

package lab

import (
	"fmt"
	"time"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// Remaining is the time until the kernel ends each socket of the lab that stands in for a
// closed connection: in TIME_WAIT, and in FIN_WAIT_2 after close(), by state name. The
// first thousand of each.
type Remaining map[string][]time.Duration

// Timers reads how long the closed connections of the lab will stay, as the kernel says
// (sock_diag).
func (l *Lab) Timers() (Remaining, error) {
	var out Remaining
	err := l.order("timers", nothing{}, &out)
	return out, err
}

const maxTimers = 1000

func readTimers(_ *worker, _ nothing) (Remaining, error) {
	c, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := Remaining{}
	err = c.Dump(sockdiag.Request{States: sockdiag.TimeWait.Mask() | sockdiag.FinWait2.Mask()},
		func(s *sockdiag.Socket) error {
			name := s.State.String()
			if s.Timer == sockdiag.TimerTimeWait && len(out[name]) < maxTimers {
				out[name] = append(out[name],
					time.Duration(s.ExpiresMillis)*time.Millisecond)
			}
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("list timers: %w", err)
	}
	return out, nil
}
