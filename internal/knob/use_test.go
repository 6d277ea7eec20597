package knob_test

import (
	"os"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// What is in use of a setting is a fact of a snapshot: the name of one, and a number.
func TestUseIsAFact(t *testing.T) {
	text, err := os.ReadFile("../../testdata/hosts/busy-proxy.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, err := host.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, k := range knob.Rows() {
		if k.InUse == knob.NotCounted || k.InUse == knob.LocalPorts {
			continue
		}
		f := k.InUse.Fact()
		if counted++; !s.Read().Has(f) || k.InUse.String() == "" {
			t.Errorf("%s: no host has the fact %q", k.Name, f)
		}
	}
	if counted < 8 {
		t.Errorf("%d settings are counted", counted)
	}
}
