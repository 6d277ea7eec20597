package limit

import (
	"slices"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// What is proposed for more connections must suffice beside the entries that others hold.
func TestConntrackLift(t *testing.T) {
	const facts = `sysctl net.netfilter.nf_conntrack_max = 262144
sysctl net.netfilter.nf_conntrack_buckets = 262144
sysctl net.netfilter.nf_conntrack_count = 160000
sysctl net.netfilter.nf_conntrack_tcp_timeout_time_wait = 120
inbound 0.0.0.0:443 = ESTABLISHED=30000
`
	s := parseCase(t, []byte(facts))
	held := func(s host.Snapshot) Gauge {
		gauges, r := Find("conntrack").Evaluate(s, Workload{})
		i := slices.IndexFunc(gauges, func(g Gauge) bool {
			return g.Bounds == Both && g.Measure == Held
		})
		if r.Err() != nil || i < 0 {
			t.Fatalf("%v, %v", gauges, r.Err())
		}
		return gauges[i]
	}
	if g := held(s); g.Ceiling != 262144-130000 || g.Used != 30000 || !g.AtMost {
		t.Errorf("%d of %d connections, want 30,000 of 132,144 at most", g.Used, g.Ceiling)
	}
	for _, need := range []int64{150000, 250000, 2000000} {
		var settings []host.Setting
		for _, m := range held(s).Lift(need) {
			if m.Kind == BySetting {
				settings = append(settings,
					host.Setting{Fact: host.Sysctl(m.Setting), Want: m.To})
			}
		}
		if g := held(s.With(settings...)); g.Ceiling < need {
			t.Errorf("%d wanted: %v gives %d", need, settings, g.Ceiling)
		}
	}
}
