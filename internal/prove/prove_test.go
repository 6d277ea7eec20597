package prove

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/limit"
)

func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	playVictim()
	os.Exit(m.Run())
}

// tried runs claims and skips where labs cannot be made.
func tried(t *testing.T, model Model, ids ...string) []Proof {
	t.Helper()
	var claims []*Claim
	for _, id := range ids {
		found := About(id)
		if len(found) == 0 {
			t.Fatalf("no claim %s", id)
		}
		claims = append(claims, found...)
	}
	r, err := Run(context.Background(), Options{Claims: claims, Model: model})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Proofs {
		if p.Verdict == CouldNotRun &&
			strings.Contains(p.Why, lab.ErrUnavailable.Error()) &&
			!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
			t.Skip(p.Why)
		}
	}
	return r.Proofs
}

// Every claim of the fast set holds on this kernel; one that finds the machine too busy says so.
func TestFastSetHolds(t *testing.T) {
	var ids []string
	for _, c := range Claims() {
		if c.Machine == "" && !c.Slow() {
			ids = append(ids, c.ID)
		}
	}
	proofs := tried(t, nil, ids...)
	if len(proofs) != len(ids) || len(ids) < 30 {
		t.Errorf("%d proofs of %d claims", len(proofs), len(ids))
	}
	mustHold(t, proofs)
	for _, p := range proofs {
		if p.Verdict == Holds && len(p.Control) == 0 {
			t.Errorf("%s has no control run", p.ID)
		}
	}
}

// offBy is a model whose limit says a ceiling that is n too high.
func offBy(id limit.ID, n int64) Model {
	return func(asked limit.ID) *limit.Limit {
		l := limit.Find(asked)
		if asked != id {
			return l
		}
		wrong := *l
		wrong.Gauges = func(r *host.Reader, w limit.Workload) []limit.Gauge {
			gauges := l.Gauges(r, w)
			for i := range gauges {
				gauges[i].Ceiling += n
			}
			return gauges
		}
		return &wrong
	}
}

func TestBrokenFormulaDiffers(t *testing.T) {
	for _, broken := range []struct {
		limit, claim string
		by           int64
	}{
		{"accept-queue", "accept-queue-length", -1},
		{"ephemeral-ports", "ports-per-destination", 20}, // as if no port were reserved
	} {
		for _, p := range tried(t, offBy(limit.ID(broken.limit), broken.by), broken.claim) {
			if p.Verdict != Differs {
				t.Errorf("%s with %s off by %d: %s, want differs", p.ID,
					broken.limit, broken.by, p.Verdict)
			}
		}
	}
}
