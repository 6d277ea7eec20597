package limit

import (
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// A SO_REUSEPORT group is counted whole, and near its end it is a warning.
func TestGroupsNearTheirEnd(t *testing.T) {
	for n, want := range map[int]string{
		largeGroup - 1: "", largeGroup: "has 16,384 of 32,768",
		30_000: "has 30,000 of 32,768", mostOfAGroup: "has 32,768 of 32,768",
	} {
		var s host.Snapshot
		for i := range n {
			name := "127.0.0.1:8080"
			if i > 0 {
				name += "~" + strconv.Itoa(i+1)
			}
			s.Set(host.Fact{Kind: host.ListenerKind, Name: name},
				host.Fields{}.AddInt("queue", 0).AddInt("limit", 5).String())
		}
		gauges, _ := Find(SlowTables).Evaluate(s, Workload{})
		var cause string
		near := false
		for _, g := range gauges {
			cause, near = g.Cause, g.IsNear()
		}
		if !strings.Contains(cause, want) || (cause == "") != (want == "") ||
			near != (n >= 30_000) {
			t.Errorf("%d listeners: %q, near %v", n, cause, near)
		}
	}
}
