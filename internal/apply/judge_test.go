package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// watched is what was seen before: a queue of 6 that dropped 200 a second.
func watched() *fix.Before {
	return &fix.Before{Seconds: 1, Watched: []fix.Reading{{Limit: "accept-queue",
		Subject: "0.0.0.0:8080", Kind: "listener", Measure: "burst",
		Severity: diagnose.Critical, Ceiling: 6, Used: 6, RefusedPerSecond: 200,
		OpenedPerSecond: 100}}}
}

// window is what is seen afterwards: drops, and connections opened, in a second.
func windowText(drops, opened int) string {
	return fmt.Sprintf(`maxconn.snapshot/1
system window = 1s
system kernel = 6.18.0
sysctl net.core.somaxconn = 4096
counter TcpExt.ListenOverflows = 5000
counter TcpExt.ListenDrops = 5000
counter Tcp.PassiveOpens = 90000
listener 0.0.0.0:8080 = family=4 queue=3 limit=511 drops=5000 inode=100 pid=12 process=app syn=0 oldest=0s youngest=0s backlog=511
inbound 0.0.0.0:8080 = ESTABLISHED=60 unaccepted=3
moved listener/0.0.0.0:8080/drops = %d
moved counter/TcpExt.ListenOverflows = %[1]d
moved counter/Tcp.PassiveOpens = %d
end
`, drops, opened)
}

func shows(text string) Evidence {
	return func(context.Context, time.Duration) (host.Snapshot, error) {
		return host.Parse([]byte(text))
	}
}

// fixed applies a plan that is judged by evidence, and watches it as its guard does until the
// judgement; the window has not ended by then.
func fixed(t *testing.T, b *bench, e Evidence, persist bool) fix.Report {
	t.Helper()
	return fixedBy(t, b, e, persist, thePlan())
}

func fixedBy(t *testing.T, b *bench, e Evidence, persist bool, p plan.Plan) fix.Report {
	t.Helper()
	b.Evidence = e
	if _, err := b.Apply(t.Context(), p, Options{Within: time.Minute,
		Persist: persist, Fix: watched()}); err != nil {
		t.Fatal(err)
	}
	b.judges(t.Context(), 1)
	r, err := b.FixReport(1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What evidence says decides: kept, with its files, or rolled back; or nothing is decided.
func TestJudged(t *testing.T) {
	cured, refuses, idle := windowText(0, 300), windowText(90, 300), windowText(0, 0)
	failing := func(context.Context, time.Duration) (host.Snapshot, error) {
		return host.Snapshot{}, errors.New("no sock_diag here")
	}
	broken := func(context.Context, time.Duration) (host.Snapshot, error) { panic("a bug") }
	looked := 0
	slow := func(context.Context, time.Duration) (host.Snapshot, error) {
		text := refuses
		if looked++; looked > 2 {
			text = cured
		}
		return host.Parse([]byte(text))
	}
	for name, c := range map[string]struct {
		evidence Evidence
		outcome  fix.Outcome
		state    State
		why      string
	}{
		"cured":                   {shows(cured), fix.Kept, InEffect, "refuses no more"},
		"cured at the third look": {slow, fix.Kept, InEffect, "refuses no more"},
		"not cured":               {shows(refuses), fix.RolledBack, Undone, "still"},
		"no load":                 {shows(idle), fix.Waiting, Pending, "no load"},
		"no evidence":             {failing, fix.Waiting, Pending, "no sock_diag here"},
		"a judge that fails":      {broken, fix.Waiting, Pending, "a bug"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.makeOld(t)
			was := tree(t, b.etc)
			r := fixed(t, b, c.evidence, true)
			b.wantState(t, c.state)
			if r.Outcome != c.outcome || !strings.Contains(r.Why, c.why) {
				t.Errorf("%s: %s, want %s: %s", r.Outcome, r.Why, c.outcome,
					c.why)
			}
			kept := c.state == InEffect
			if got := len(tree(t, b.etc)) > len(was); got != kept {
				t.Errorf("files for the next boot: %v", got)
			}
			if c.state == Undone {
				b.wantBefore(t)
			}
			h, err := b.History()
			if err != nil || h.Runs[0].Fix == nil ||
				h.Runs[0].Fix.Outcome != c.outcome {
				t.Errorf("history: %+v, %v", h, err)
			}
			if c.state == Pending {
				b.ownerDecides(t)
			}
		})
	}
}

// ownerDecides: what could not be told is the operator's, until the window ends.
func (b *bench) ownerDecides(t *testing.T) {
	t.Helper()
	if due, over, err := b.look(t.Context(), 1); due || over || err != nil {
		t.Errorf("due %v, over %v, %v", due, over, err)
	}
	b.up += 2 * time.Minute
	if w, err := b.Watch(t.Context(), 1); w != WatchedReverted || err != nil {
		t.Errorf("%s, %v", w, err)
	}
	b.wantBefore(t)
	if r, err := b.FixReport(1); err != nil || r.Outcome != fix.RolledBack ||
		!strings.HasPrefix(r.Why, "nobody confirmed it in time; before that: could not") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Another hand: what is seen is not the change's doing, and what is not ours stays.
func TestJudgedAfterAnotherHand(t *testing.T) {
	b := newBench(t)
	r := fixed(t, b, func(context.Context, time.Duration) (host.Snapshot, error) {
		b.kernel.values[cap1] = "77"
		return host.Parse([]byte(windowText(0, 300)))
	}, false)
	if r.Outcome != fix.Waiting || !strings.Contains(r.Why, "77") {
		t.Errorf("%s: %s", r.Outcome, r.Why)
	}
	b.up += 2 * time.Minute
	if _, err := b.Watch(t.Context(), 1); err != nil {
		t.Error(err)
	}
	if b.kernel.values[cap1] != "77" {
		t.Errorf("it is %s", b.kernel.values[cap1])
	}
	b.wantState(t, PartlyLeft)
}

// What was there before the change hides what it does for longer than is watched: it is left,
// looked at again when that has ended, and decided then.
func TestJudgedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		drops, opened int
		outcome       fix.Outcome
		state         State
	}{
		"cured":     {0, 300, fix.Kept, InEffect},
		"not cured": {90, 300, fix.RolledBack, Undone},
		"no load":   {0, 0, fix.Waiting, Pending},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.Evidence = shows(windowText(90, 300))
			f := watched()
			f.OldLast = 300
			if _, err := b.Apply(t.Context(), thePlan(), Options{Fix: f,
				Within: f.Longest() + time.Minute}); err != nil {
				t.Fatal(err)
			}
			b.judges(t.Context(), 1)
			r, err := b.FixReport(1)
			if err != nil || r.Outcome != fix.Waiting || r.Again == nil ||
				r.Again.Sub(b.Now()) != 325*time.Second {
				t.Fatalf("%+v, %v", r, err)
			}
			b.up += 324 * time.Second
			if b.judges(t.Context(), 1) {
				t.Error("it is judged too early")
			}
			b.up += time.Second
			b.Evidence = shows(windowText(c.drops, c.opened))
			b.judges(t.Context(), 1)
			b.wantState(t, c.state)
			r, err = b.FixReport(1)
			if err != nil || r.Outcome != c.outcome || r.Again != nil {
				t.Errorf("%+v, %v", r, err)
			}
			if c.state == Pending && r.Until.Sub(b.Now()) != (325+60)*time.Second {
				t.Errorf("it is rolled back at %v", r.Until)
			}
		})
	}
}

// What became of a run after it was decided, and how a report says it.
func TestReportsOfThePast(t *testing.T) {
	const cured, idle = 300, 0
	boot := func(b *bench) error { b.Here.BootID = "second"; return nil }
	over := func(b *bench) error {
		b.Gone = func(Place) bool { return true }
		b.Here.Netns, b.Here.Cookie = "net:[2]", 2
		return nil
	}
	rollback := func(b *bench) error { return second(b.Rollback(1, true)) }
	for name, c := range map[string]struct {
		opened  int
		after   func(*bench) error
		outcome fix.Outcome
		why     string
	}{
		"rolled back by hand": {cured, rollback, fix.RolledBack,
			"by hand; before that: cured: accept-queue at"},
		"another hand and rolled back": {cured, func(b *bench) error {
			b.kernel.values[cap1] = "77"
			return rollback(b)
		}, fix.InPart, "by hand; before that: cured"},
		"kept, and a boot":         {cured, boot, fix.Kept, "booted since"},
		"waiting, and a boot":      {idle, boot, fix.Gone, "booted since"},
		"kept, and its end":        {cured, over, fix.Kept, "namespace has ended since"},
		"waiting, and its end":     {idle, over, fix.Gone, "namespace has ended since"},
		"waiting, and confirmed":   {idle, (*bench).confirms, fix.ByHand, "could tell"},
		"waiting, and rolled back": {idle, rollback, fix.RolledBack, "by hand; before"},
	} {
		b := newBench(t)
		p := thePlan()
		p.Changes = append(p.Changes[:2:2], p.Changes[4:]...) // all of the namespace
		fixedBy(t, b, shows(windowText(0, c.opened)), false, p)
		if err := c.after(b); err != nil {
			t.Fatal(err)
		}
		r, err := b.FixReport(1)
		if err != nil || r.Outcome != c.outcome || !strings.Contains(r.Why, c.why) {
			t.Errorf("%s: %s: %s, %v", name, r.Outcome, r.Why, err)
		}
	}
}

func (b *bench) confirms() error { return second(b.Confirm(1)) }

// What somebody else has changed is not kept by a confirmation, and it says so.
func TestConfirmAfterAnotherHand(t *testing.T) {
	b := newBench(t)
	fixed(t, b, shows(windowText(0, 0)), false)
	if r, err := b.Confirm(0); err != nil || len(r.Lost) > 0 {
		t.Errorf("%+v, %v", r.Lost, err)
	}
	b.kernel.values[cap1] = "77"
	r, err := b.Confirm(0)
	if err != nil || len(r.Lost) != 1 || r.Lost[0].Value != "77" || r.Lost[0].Now != NowOther {
		t.Errorf("%+v, %v", r.Lost, err)
	}
}

// Somebody confirms or rolls back while it is watched: that counts, whatever is seen.
func TestJudgedByHand(t *testing.T) {
	for name, act := range map[string]func(*bench) error{
		"confirm":  func(b *bench) error { return second(b.Confirm(0)) },
		"rollback": func(b *bench) error { return second(b.Rollback(0, false)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			acting := func(context.Context, time.Duration) (host.Snapshot, error) {
				if err := act(b); err != nil {
					t.Error(err)
				}
				return host.Parse([]byte(windowText(90, 300)))
			}
			r := fixed(t, b, acting, false)
			state := map[string]State{"confirm": InEffect, "rollback": Undone}[name]
			b.wantState(t, state)
			outcome := map[State]fix.Outcome{InEffect: fix.ByHand,
				Undone: fix.RolledBack}[state]
			if r.Outcome != outcome || strings.Contains(r.Why, "rollback") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Two at once: the second begins nothing.
func TestTwoFixes(t *testing.T) {
	b := newBench(t)
	fixed(t, b, shows(windowText(0, 0)), false)
	if err := b.Free(); err == nil || err.Error() != "run 1 is not over: it is pending" {
		t.Errorf("%v", err)
	}
}

// The process that judges was killed: the client starts another.
func TestJudgeIsReplaced(t *testing.T) {
	b := newBench(t)
	b.Evidence = shows(windowText(0, 300))
	started := 0
	b.Guard = func(id int) (int, error) {
		if started++; started > 1 {
			b.judges(t.Context(), id)
		}
		return 1 << 30, nil // nobody's
	}
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute,
		Fix: watched()}); err != nil {
		t.Fatal(err)
	}
	b.Guard = func(int) (int, error) {
		started++
		go b.judges(t.Context(), 1)
		return 1 << 30, nil
	}
	r, err := b.AwaitJudgement(t.Context(), 1, func() {})
	if err != nil || r.Outcome != fix.Kept || started < 2 {
		t.Errorf("%+v, %v, %d started", r, err, started)
	}
}

// A journal in which somebody has written a judgement that no maxconn makes.
func TestOddJudgements(t *testing.T) {
	for _, f := range []fix.Before{{}, {Seconds: -1}, {Seconds: 1e9}} {
		r := Run{Begin: Begin{Within: 60, Fix: &f, Plan: thePlan()}}
		if r.admissible(nil) == nil {
			t.Errorf("%+v is believed", f)
		}
	}
	r := &Run{Begin: Begin{Schema: JournalSchema}}
	for _, e := range []entry{{Do: doJudged}, {Do: doJudged, Judged: &fix.Judgement{}}} {
		if r.take(e) == nil {
			t.Errorf("%+v is believed", e)
		}
	}
}
