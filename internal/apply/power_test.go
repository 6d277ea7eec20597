package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

// scene is a lab with a server that listens on 127.0.0.1:8080 with a backlog of 5 and may
// have 128 descriptors.
type scene struct {
	*lab.Lab
	t      *testing.T
	server *lab.Actor
	job    job // what all workers are told
	before []string
	etc    map[string]string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	l, err := lab.Start(t.Context())
	if errors.Is(err, lab.ErrUnavailable) {
		nstest.Unavailable(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &scene{Lab: l, t: t}
	if s.server, err = l.Spawn("server"); err != nil {
		t.Fatal(err)
	}
	if _, _, err = s.server.Listen(
		lab.ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:8080"), Backlog: 5}); err !=
		nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.server.Limit(128), l.Set("net.core.somaxconn", "64")); err != nil {
		t.Fatal(err)
	}
	s.fresh()
	a := s.do(job{Verb: "plan", Server: s.server.PID()})
	if a.Err != "" || len(a.Plan.Changes) != 5 {
		t.Fatalf("plan %+v: %s", a.Plan, a.Err)
	}
	s.job.Plan = a.Plan
	s.before = s.values()
	if want := []string{"1000", "32768 60999", "128", "64", "5"}; !slices.Equal(s.before,
		want) {
		t.Fatalf("before: %q, want %q", s.before, want)
	}
	return s
}

// fresh gives the next workers a state directory and an etc of their own.
func (s *scene) fresh() {
	s.job.Dir, s.job.Etc = filepath.Join(s.t.TempDir(), "state"), s.t.TempDir()
	s.etc = tree(s.t, s.job.Etc)
}

// run runs a worker; ok is false where it was killed.
func (s *scene) run(j job) (a answer, ok bool) {
	s.t.Helper()
	if j.Dir == "" {
		j.Dir, j.Etc = s.job.Dir, s.job.Etc
	}
	j.Plan = s.job.Plan
	text, err := json.Marshal(j)
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.Run(s.t.Context(), bytes.NewReader(text), "/proc/self/exe", workerWord)
	if err != nil {
		s.t.Fatal(err)
	}
	// a hangup may come first
	if out.Code == 128+int(syscall.SIGKILL) || out.Code == 128+int(syscall.SIGHUP) {
		return a, false
	}
	if err := json.Unmarshal(out.Stdout, &a); err != nil || out.Code != 0 {
		s.t.Fatalf("%s: exit status %d, %v: %s", j.Verb, out.Code, err, out.Stderr)
	}
	return a, true
}

func (s *scene) do(j job) answer {
	s.t.Helper()
	a, ok := s.run(j)
	if !ok {
		s.t.Fatalf("%s was killed", j.Verb)
	}
	return a
}

func (s *scene) must(j job) answer {
	s.t.Helper()
	a := s.do(j)
	if a.Err != "" {
		s.t.Fatalf("%s: %s", j.Verb, a.Err)
	}
	return a
}

func (s *scene) values() []string { return s.must(job{Verb: "values"}).Values }

func (s *scene) wantBefore(what string, n int) {
	s.t.Helper()
	if got := s.values(); !slices.Equal(got, s.before) {
		s.t.Errorf("%s killed after step %d: values %q, were %q", what, n, got, s.before)
	}
	if s.job.Etc == "" {
		return // no files are written
	}
	if diff := cmp.Diff(s.etc, tree(s.t, s.job.Etc)); diff != "" {
		s.t.Errorf("%s killed after step %d: files: %s", what, n, diff)
	}
}

// wantTruth holds what status says against the values that are there.
func (s *scene) wantTruth(what string, n int) []State {
	s.t.Helper()
	a := s.must(job{Verb: "status"})
	var states []State
	for _, r := range a.Status.Runs {
		states = append(states, r.State)
		for i, c := range r.Changes {
			if c.Value != a.Values[i] || c.Now != truth(c, a.Values[i]) {
				s.t.Errorf("%s killed after step %d: status says %q is %s, "+
					"it is %q", what, n, c.Setting, c.Now, a.Values[i])
			}
		}
	}
	if anyNew(s.job.Plan, a.Values) && len(states) == 0 {
		s.t.Errorf("%s killed after step %d: values are %q and status knows nothing", what,
			n, a.Values)
	}
	return states
}

func truth(c ChangeStatus, value string) Now {
	switch {
	case sameText(value, c.From):
		return NowOld
	case sameText(value, c.Wanted):
		return NowNew
	}
	return NowOther
}

func anyNew(p plan.Plan, values []string) bool {
	for i, c := range p.Changes {
		if !sameText(values[i], c.From) {
			return true
		}
	}
	return false
}

// The lost-power table. A run is killed with SIGKILL after every single write, sync,
// rename, removal and kernel write, of apply, confirm, rollback and the automatic revert,
// on real settings: sysctls of a namespace, a listening socket, the limit of a process, a
// device. Each time status tells the truth, and a rollback restores what was there, also
// when it is itself killed the first time.
func TestLostPower(t *testing.T) {
	s := newScene(t)
	kept := func(verb string) { // leaves a run that the verb under test goes on with
		switch verb {
		case "confirm", "revert":
			s.must(job{Verb: "apply", Within: 2 * time.Minute, Alone: true})
		case "rollback":
			s.must(job{Verb: "apply"})
		}
	}
	total := 0
	for _, verb := range []string{"apply", "confirm", "rollback", "revert"} {
		seen := map[State]bool{}
		for n := 1; ; n++ {
			s.fresh()
			kept(verb)
			if _, ok := s.run(job{Verb: verb, KillAt: n}); ok {
				t.Logf("%s: %d steps, states in between: %v", verb, n-1, seen)
				total += n - 1
				s.must(job{Verb: "rollback"})
				s.wantBefore(verb, n)
				break
			}
			for _, state := range s.wantTruth(verb, n) {
				seen[state] = true
			}
			s.must(job{Verb: "rollback"})
			s.wantBefore(verb, n)
			for _, state := range s.wantTruth("rollback after "+verb, n) {
				t.Errorf("%s killed after step %d: after the rollback a run is %s",
					verb, n, state)
			}
			if n > 500 {
				t.Fatal("it does not end")
			}
		}
		want := map[string]State{
			"apply":    Interrupted,
			"confirm":  Persisting,
			"rollback": Interrupted,
			"revert":   Interrupted,
		}[verb]
		if !seen[want] {
			t.Errorf("%s was never %s: %v", verb, want, seen)
		}
	}
	if total < 60 {
		t.Errorf("only %d steps", total)
	}
}

// The same for a value of which the kernel makes another: nothing tells what it became when
// the run was killed before that was written down.
func TestLostPowerClamped(t *testing.T) {
	s := newScene(t)
	// the queue, without somaxconn
	s.job.Plan.Changes, s.before = s.job.Plan.Changes[4:], []string{"5"}
	for n := 1; ; n++ {
		s.fresh()
		if _, ok := s.run(job{Verb: "apply", KillAt: n}); ok {
			break
		}
		s.must(job{Verb: "rollback"})
		s.wantBefore("apply", n)
	}
}

// The table of a fix and of the process that judges it: killed with SIGKILL after every single
// write, sync, rename and kernel write. Another in its place comes to what it would have come
// to, status tells the truth, and a rollback restores what was there.
func TestLostPowerOfFix(t *testing.T) {
	s := newScene(t)
	steps := 0
	for name, c := range map[string]struct {
		after string
		end   []State
	}{
		// where it was killed before its files were whole, confirm writes them
		"cured":     {windowText(0, 300), []State{InEffect, Persisting}},
		"not cured": {windowText(90, 300), nil}, // status has nothing to say
	} {
		begin := job{Verb: "apply", Within: 2 * time.Minute, Alone: true, Fix: watched()}
		guard := job{Verb: "guard", After: c.after}
		for n := 1; ; n++ {
			s.fresh()
			s.must(begin)
			killed := guard
			killed.KillAt = n
			_, whole := s.run(killed)
			s.wantTruth(name, n)
			s.must(guard) // in its place
			if got := s.wantTruth(name, n); len(got) > 1 ||
				len(got) == 1 && !slices.Contains(c.end, got[0]) ||
				len(got) == 0 && c.end != nil {
				t.Errorf("%s killed after step %d: states %q, want %q", name, n,
					got, c.end)
			}
			if c.end == nil {
				s.wantBefore(name, n)
			}
			s.must(job{Verb: "rollback"})
			s.wantBefore(name, n)
			if whole {
				steps += n - 1
				break
			}
		}
	}
	for n := 1; ; n++ { // the program that applies, which evidence has no say in yet
		s.fresh()
		_, whole := s.run(job{Verb: "apply", Within: 2 * time.Minute, Fix: watched(),
			KillAt: n})
		s.wantTruth("fix", n)
		s.must(job{Verb: "rollback"})
		s.wantBefore("fix", n)
		if whole {
			steps += n - 1
			break
		}
	}
	if t.Logf("%d steps", steps); steps < 60 {
		t.Errorf("only %d steps", steps)
	}
}
