package plan

import (
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// A bound is within what the kernel takes, and is of a setting that a plan may change.
func TestBoundsAreThoseOfTheKernel(t *testing.T) {
	for _, b := range bounds {
		var k *knob.Knob
		for _, x := range knob.All() {
			if x.Name == b.name || x.Field == b.name {
				k = x
			}
		}
		if k == nil {
			t.Errorf("%s: there is no such setting", b.name)
			continue
		}
		if k.Never != "" || k.Aside {
			t.Errorf("%s: no plan changes it: %s", b.name, k.Never)
		}
		takes := k.Takes.At(host.Release{})
		if k.Takes.Kind == knob.Numbers && (b.least < takes.Low || b.most > takes.Top) {
			t.Errorf("%s: from %d to %d, and the kernel takes %d to %d",
				b.name, b.least, b.most, takes.Low, takes.Top)
		}
	}
}
