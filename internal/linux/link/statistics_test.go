//go:build linux

package link

import (
	"errors"
	"testing"
)

// A device that counts tells its driver and counters; one that does not tells that, and so does
// one that is not there.
func TestReadStatistics(t *testing.T) {
	report, err := List("/sys")
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadStatistics(append(report.Devices, Device{Name: "nosuchdevice"}))
	if err != nil {
		t.Fatal(err)
	}
	if s := all["lo"]; !errors.Is(s.Err, ErrNoStatistics) || s.Counters != nil {
		t.Errorf("lo: %+v", s)
	}
	if s := all["nosuchdevice"]; s.Err == nil || errors.Is(s.Err, ErrNoStatistics) {
		t.Errorf("a device that is not there: %+v", s)
	}
	for name, s := range all {
		if s.Err == nil && (s.Driver == "" || len(s.Counters) == 0) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
