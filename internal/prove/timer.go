package prove

import (
	"time"

	"github.com/maxconn/maxconn/internal/linux/clock"
)

// slack is how much later than asked a kernel timer of this length may fire, by a tick of
// this length. Timers hang in a wheel whose slots get eight times as wide for about eight
// times the length, and none fires early (kernel/time/timer.c calc_wheel_index, LVL_START,
// since 4.8; before, they were exact).
func slack(length, tick time.Duration) time.Duration {
	slot := tick
	for start := 63 * tick; length >= start; start *= 8 {
		slot *= 8
	}
	return slot
}

// slackHere is slack on this kernel.
func slackHere(length time.Duration) time.Duration { return slack(length, must(clock.Tick())) }
