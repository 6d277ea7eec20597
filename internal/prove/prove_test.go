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
		if p.Verdict == CouldNotRun && strings.Contains(p.Why, lab.ErrUnavailable.Error()) &&
			!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
			t.Skip(p.Why)
		}
	}
	return r.Proofs
}

func TestTrueClaimsHold(t *testing.T) {
	for _, p := range tried(t, nil, "accept-queue-length", "ports-per-destination") {
		if p.Verdict != Holds {
			t.Errorf("%s: %s: predicted %v, measured %v: %s\n%v\n%v", p.ID, p.Verdict, p.Predicted, p.Measured, p.Why, p.Evidence, p.Control)
		}
	}
}

// offBy is a model whose limit says a ceiling that is n too high.
func offBy(id string, n int64) Model {
	return func(asked string) *limit.Limit {
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
		for _, p := range tried(t, offBy(broken.limit, broken.by), broken.claim) {
			if p.Verdict != Differs {
				t.Errorf("%s with %s off by %d: %s, want differs", p.ID, broken.limit, broken.by, p.Verdict)
			}
		}
	}
}
