package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/live"
)

// Keeper keeps the last snapshot of each network namespace, and records surveys where that is
// wanted. It is safe for concurrent use.
type Keeper struct {
	Recorder *Recorder // nil: none
	File     string    // that the recorder writes

	mu        sync.Mutex
	snapshots map[string]host.Snapshot
}

// Enter keeps a survey.
func (k *Keeper) Enter(now time.Time, v live.Survey) {
	k.mu.Lock()
	if k.snapshots == nil {
		k.snapshots = map[string]host.Snapshot{}
	}
	k.snapshots[v.Key] = v.Snapshot
	k.mu.Unlock()
	if k.Recorder != nil {
		k.Recorder.Enter(now, v)
	}
}

// Failed notes that a namespace could not be surveyed.
func (k *Keeper) Failed(now time.Time, key, name, why string) {
	if k.Recorder != nil {
		k.Recorder.Failed(now, key, name, why)
	}
}

// Gone forgets a namespace.
func (k *Keeper) Gone(now time.Time, key string) {
	k.mu.Lock()
	delete(k.snapshots, key)
	k.mu.Unlock()
	if k.Recorder != nil {
		k.Recorder.Gone(now, key)
	}
}

func (k *Keeper) last() map[string]host.Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.snapshots)
}

// says is how the recording goes on.
func (k *Keeper) says() []string {
	if k.Recorder == nil {
		return nil
	}
	lines, err := k.Recorder.Written()
	if err != nil {
		return []string{fmt.Sprintf("NOT RECORDED since survey %d: %v", lines, err)}
	}
	return []string{"recording to " + k.File}
}

// Follow shows what a state knows, after each survey, until ctx ends.
func Follow(ctx context.Context, s *live.State, k *Keeper, show func(Now)) error {
	for {
		next := s.Next()
		if v := s.View(time.Now(), ""); !v.Surveyed.IsZero() {
			show(Now{v, k.last(), k.says()})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
}

// longestGap is how long a replay waits for the next survey at its own speed.
const longestGap = time.Minute

// Player plays a recording. Its methods may be called from any goroutine.
type Player struct {
	recording *Recording
	keeper    Keeper
	state     *live.State

	mu     sync.Mutex
	speed  float64 // 0: without waiting
	frozen bool
	wake   chan struct{} // closed when one of them has changed
}

// NewPlayer plays at a number of times the speed at which it was recorded, 0 for as fast as it can.
func NewPlayer(r *Recording, speed float64) *Player {
	return &Player{recording: r, state: live.New(live.Options{}), speed: speed,
		wake: make(chan struct{})}
}

// State is what is known at the moment that is shown.
func (p *Player) State() *live.State { return p.state }

// Freeze stops and goes on.
func (p *Player) Freeze(frozen bool) { p.change(func() { p.frozen = frozen }) }

// Speed makes it faster by a factor.
func (p *Player) Speed(factor float64) {
	p.change(func() { p.speed = max(1./16, min(p.speed*factor, 1024)) })
}

func (p *Player) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *Player) now() (speed float64, frozen bool, wake <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.speed, p.frozen, p.wake
}

// Play shows the recording from its beginning to its end, and says what is wrong with it.
func (p *Player) Play(ctx context.Context, show func(Now)) error {
	var before Step
	for n := 1; ; n++ {
		s, err := p.recording.Next()
		switch {
		case errors.Is(err, io.EOF):
			p.show(before.At, show, "the recording ends here")
			return nil
		case err != nil:
			if n > 1 {
				p.show(before.At, show, err.Error())
			}
			return err
		}
		if n > 1 && !p.wait(ctx, s.At.Sub(before.At)) {
			return nil
		}
		p.enter(s)
		speed, _, _ := p.now()
		says := "replay"
		if speed > 0 {
			says += " at " + strconv.FormatFloat(speed, 'g', 4, 64) + "x"
		}
		p.show(s.At, show, says)
		before = s
	}
}

func (p *Player) show(at time.Time, show func(Now), says string) {
	show(Now{p.state.View(at, ""), p.keeper.last(), []string{says}})
}

// enter does what a loop would.
func (p *Player) enter(s Step) {
	switch {
	case s.Ended:
		p.keeper.Gone(s.At, s.Key)
		p.state.Gone(s.At, s.Key)
		return
	case s.Why != "":
		p.state.Failed(s.At, s.Key, s.Name, s.Why)
		return
	}
	report, gauges := diagnose.CheckAll(s.Snapshot, diagnose.Options{})
	v := live.Survey{Key: s.Key, Name: s.Name, Own: s.Own, Snapshot: s.Snapshot,
		Report: report, Gauges: gauges}
	if p.state.Enter(s.At, v) {
		p.keeper.Enter(s.At, v)
	}
	p.state.Surveyed(s.At, 0)
}

// wait lets a recorded length of time pass at the speed of the replay.
func (p *Player) wait(ctx context.Context, left time.Duration) bool {
	left = min(left, longestGap)
	for {
		speed, frozen, wake := p.now()
		if !frozen && (left <= 0 || speed == 0) {
			return ctx.Err() == nil
		}
		var due <-chan time.Time
		if !frozen {
			timer := time.NewTimer(time.Duration(float64(left) / speed))
			defer timer.Stop()
			due = timer.C
		}
		begun := time.Now()
		select {
		case <-ctx.Done():
			return false
		case <-due:
			left = 0
		case <-wake:
			if !frozen {
				left -= time.Duration(float64(time.Since(begun)) * speed)
			}
		}
	}
}
