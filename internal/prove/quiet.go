package prove

import (
	"errors"
	"fmt"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/clock"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// NotQuiet ends a trial that the rest of the machine was too busy for.
func (b *Bench) NotQuiet(format string, args ...any) {
	b.CannotRun(proof.TooBusy + fmt.Sprintf(format, args...))
}

// Promptly does a part of an experiment that is worth something only while the kernel's own
// timers have not ended what it looks at. The part says how long that took; where it was
// longer than the time given, the part is done again from its beginning, and the third time
// the trial ends without a verdict.
func (b *Bench) Promptly(within time.Duration, part func() time.Duration) {
	const tries = 3
	var took time.Duration
	for range tries {
		if took = part(); took <= within {
			return
		}
	}
	b.NotQuiet("%v passed between cause and measurement, %d times; %v are allowed",
		took.Round(time.Millisecond), tries, within)
}

// lateness is how long a trial may take until a verdict against its claim is no longer
// believed: sockets end by themselves meanwhile (TIME_WAIT after 60 s, half-open
// connections after some seconds) and other things happen that no trial of a few seconds
// reckons with.
func lateness(c *Claim) time.Duration { return 20*time.Second + 5*c.Takes }

// doubt withdraws a verdict against a claim whose trial was held up.
func doubt(p *Proof, c *Claim, took time.Duration) {
	if p.Verdict != Differs || took <= lateness(c) {
		return
	}
	p.Verdict = CouldNotRun
	p.Why = fmt.Sprintf(proof.TooBusy+"it took %.0f s instead of about %.0f; then %s",
		took.Seconds(), c.Takes.Seconds(), p.Why)
}

// reasoned says in the words of a report why a trial ended early.
func reasoned(err error) error {
	switch {
	case errors.Is(err, lab.ErrUnavailable):
		return fmt.Errorf("%w (run it as root, or allow user namespaces)", err)
	case errors.Is(err, lab.ErrNoAnswer):
		return fmt.Errorf(proof.TooBusy+"%w", err)
	}
	return err
}

// older says whether a kernel release ("6.1.0-50-cloud-amd64") is before a version ("6.3"). A
// release that is not known is not older: the trial will find out.
func older(release, version string) bool {
	r, _ := host.ParseRelease(release)
	v, err := host.ParseVersion(version)
	return err == nil && r.Known() && r.Compare(v) < 0
}

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
