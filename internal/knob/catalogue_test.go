package knob

import (
	"slices"
	"strings"
	"testing"
)

// Every row says what its setting does, stands once, and comes after what has to be written
// before it; no name of the list has a row.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for i, k := range All() {
		switch {
		case seen[k.Name]:
			t.Errorf("%s stands twice", k.Name)
		case i < len(catalogue) && (k.Does == "" || k.Source == ""):
			t.Errorf("%s lacks what it does or its source", k.Name)
		case i >= len(catalogue) && (k.IsRow() || !k.IsSysctl()):
			t.Errorf("%s of names.txt is no name of a sysctl", k.Name)
		}
		seen[k.Name] = true
		for _, text := range []string{k.Does, k.Not, k.Never} {
			if strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text {
				t.Errorf("%s: %q does not go on after a name", k.Name, text)
			}
		}
		if k.Plan != nil && (k.Never != "" || k.Aside || len(k.Plan.Limits) == 0 ||
			k.Plan.Least > k.Plan.Most) {
			t.Errorf("%s: %+v, and %q", k.Name, k.Plan, k.Never)
		}
		for _, before := range k.After {
			if Turn(before) >= i || Lookup(before) == nil {
				t.Errorf("%s has to be written after %s", k.Name, before)
			}
		}
	}
	if len(seen) < 850 {
		t.Errorf("%d names", len(seen))
	}
}

// A row is of the kind that its name says: what is below net belongs to a network namespace
// or to the initial one, and what is not to the host.
func TestScopes(t *testing.T) {
	for _, k := range All() {
		if !k.IsSysctl() {
			continue
		}
		ofNet := k.Scope.Netns || k.Scope.Initial || !k.Scope.ReadOnly.None()
		if ofNet != strings.HasPrefix(k.Name, "net.") || k.Scope.Netns && k.Scope.Initial {
			t.Errorf("%s: %+v", k.Name, k.Scope)
		}
		if (k.Module == Tracking) != strings.Contains(k.Name, ".nf_conntrack_") {
			t.Errorf("%s is there with module %q", k.Name, k.Module)
		}
	}
}

// A default lies within the bounds, on every kernel.
func TestDefaultsAreInBounds(t *testing.T) {
	for _, k := range Rows() {
		for _, release := range []string{"", "4.4", "4.19", "5.13", "5.15", "6.18"} {
			h := on(t, release)
			a, ok := k.Default.Amount(h)
			if b := k.Takes.At(h.Kernel); ok && a.Known && len(k.Takes.Bounds) > 0 &&
				(a.N < b.Low || a.N > b.Top) {
				t.Errorf("%s on %q: %d is not %d to %d", k.Name, release, a.N,
					b.Low, b.Top)
			}
		}
	}
}

func TestSpan(t *testing.T) {
	since, between := Since(4, 19), parseSpan("4.14..4.19")
	for release, want := range map[string][4]bool{
		"4.18": {false, true, false, false}, "4.19": {true, true, true, true},
		"4.14": {false, true, false, true}, "6.1": {true, true, true, true},
	} {
		v := on(t, release).Kernel
		a, sureA := since.Reached(v)
		b, sureB := between.Reached(v)
		if have := [4]bool{a, sureA, b, sureB}; have != want {
			t.Errorf("%s: %v, want %v", release, have, want)
		}
	}
	if between.String() != "Linux 4.19 at the latest (not yet in 4.14)" ||
		since.String() != "Linux 4.19" {
		t.Error(between, since)
	}
}

// The settings that a plan writes come in the order that the kernel takes: limits before what they
// bound, timestamps before what needs them, thresholds from the top.
func TestTurn(t *testing.T) {
	want := []string{
		"fs.nr_open", "process#hard", "process#soft", "net.core.somaxconn",
		"listener#limit",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_port_range",
		"net.ipv4.tcp_timestamps",
		"net.ipv4.tcp_tw_reuse", "net.netfilter.nf_conntrack_buckets",
		"net.netfilter.nf_conntrack_max",
		"net.ipv4.neigh.default.gc_thresh3", "net.ipv4.neigh.default.gc_thresh1",
		"net.ipv4.no.such.name",
	}
	if !slices.IsSortedFunc(want, func(a, b string) int { return Turn(a) - Turn(b) }) {
		t.Error("out of order")
	}
}
