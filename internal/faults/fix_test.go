//go:build linux

package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/plan"
)

// driven is a load that goes on, and what came of it.
type driven struct {
	rounds, served atomic.Int64
	done, ended    chan struct{}
}

// pace is between two rounds: no more than what a plan that doubles a limit makes room for.
const pace = 50 * time.Millisecond

func drive(s scene) *driven {
	d := &driven{done: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		for {
			d.served.Add(int64(s.round()))
			d.rounds.Add(1)
			select {
			case <-d.done:
				return
			case <-time.After(pace):
			}
		}
	}()
	return d
}

func (d *driven) stop() {
	close(d.done)
	<-d.ended
}

// share is how many clients a round served in a number of rounds from now on.
func (d *driven) share(rounds int64) float64 {
	n, r := d.served.Load(), d.rounds.Load()
	for d.rounds.Load() < r+rounds {
		select {
		case <-d.ended: // the test has failed
			return 0
		case <-time.After(pace):
		}
	}
	return float64(d.served.Load()-n) / float64(d.rounds.Load()-r)
}

// fix runs maxconn fix on the lab, from outside.
func (w world) fix(args ...string) (r fix.Report, status int) {
	w.Helper()
	if os.Geteuid() != 0 {
		w.Skip("only root carries plans out in the namespace of another process")
	}
	state := w.TempDir()
	args = append([]string{"fix", "--netns", w.lab.NetNS(), "--yes", "--json", "--for", "1s",
		"--confirm-within", "1s", "--state-dir", state}, args...)
	var stderr strings.Builder
	c := exec.CommandContext(w.Context(), program, args...)
	c.Stderr = &stderr
	out, _ := c.Output()
	if strings.Contains(stderr.String(), "CAP_SYS_RESOURCE") {
		w.Skip(stderr.String()) // of the first user namespace
	}
	if err := json.Unmarshal(out, &r); err != nil {
		w.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	if r.Again != nil { // nobody waits for that here
		w.must(exec.CommandContext(w.Context(), program, "rollback", "--netns",
			w.lab.NetNS(), "--state-dir", state).Run())
	}
	return r, c.ProcessState.ExitCode()
}

// lifted says whether a plan for the fault changes anything.
func (w world) lifted(f fault) bool {
	w.Helper()
	out := w.maxconn(string(w.snapshot(f.check...).Text()), "plan", "--json", "--from", "-")
	var p plan.Plan
	w.must(json.Unmarshal(out.Stdout, &p))
	return len(p.Changes) > 0
}

// Under a load that goes on fix cures what settings and live actions cure, by the count of those
// who were served; of all else it changes nothing and says who has to act.
func TestFixCures(t *testing.T) {
	notShort(t)
	t.Parallel()
	for _, f := range faults {
		if f.minute == "" {
			t.Run(f.name, f.isFixed)
		}
	}
}

// The same of those that take a minute: beside the others, not behind them.
func TestFixCuresInAMinute(t *testing.T) {
	notShort(t)
	t.Parallel()
	for _, f := range faults {
		if f.minute != "" {
			t.Run(f.name, f.isFixed)
		}
	}
}

func (f fault) isFixed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := f.make(w)
	lifted := w.lifted(f)
	d := drive(s)
	defer d.stop()
	before := d.share(3)
	r, status := w.fix(f.check...)
	switch {
	case !lifted:
		f.leftAlone(t, r, status)
		return
	case f.later != "":
		if r.Outcome != fix.Waiting || r.Again == nil || status != 2 {
			t.Errorf("status %d: %+v", status, r)
		}
		return
	}
	after := d.share(3)
	t.Logf("%.1f -> %.1f served a round: %s: %s; %v", before, after, r.Outcome, r.Why,
		r.Evidence)
	if r.Outcome != fix.Kept || status != 0 {
		t.Errorf("status %d: %+v", status, r)
	}
	if after <= before {
		t.Errorf("%.1f served a round before, %.1f after", before, after)
	}
}

// More is wanted than a plan makes room for: it makes more, until that suffices.
func TestFixMakesMoreRoom(t *testing.T) {
	notShort(t)
	t.Parallel()
	w := newWorld(t)
	const wanted = 100
	w.set("net.ipv4.ip_local_port_range", "40000 40019")
	w.listen(5432, 2*wanted)
	held := 0
	d := drive(scene{works: func() bool { return held == wanted }, load: func() int {
		for ; held < wanted; held++ {
			out, err := w.client.Connect(lab.ConnectSpec{To: at(5432)})
			w.must(err)
			if out.Count == 0 {
				break
			}
		}
		return held
	}})
	defer d.stop()
	d.share(1)
	r, status := w.fix()
	tries := len(r.Earlier) + 1
	if r.Outcome != fix.Kept || status != 0 || tries < 2 || r.Run != tries {
		t.Errorf("status %d: %+v", status, r)
	}
	if n := d.share(3); n != wanted {
		t.Errorf("%.1f are connected, %d want to be", n, wanted)
	}
}

// leftAlone is what fix says of what no setting cures.
func (f fault) leftAlone(t *testing.T, r fix.Report, status int) {
	t.Helper()
	if status != 1 || r.Outcome != fix.NoSetting || r.Run != 0 || len(r.Changes) > 0 {
		t.Errorf("status %d: %+v", status, r)
	}
	if !slices.ContainsFunc(r.Left, func(l plan.Left) bool {
		return l.Limit == f.want.limit && l.Text != ""
	}) {
		t.Errorf("nobody is told what to do: %+v", r.Left)
	}
}
