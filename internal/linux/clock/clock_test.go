//go:build linux

package clock

import (
	"runtime"
	"testing"
	"time"
)

func TestThreadCountsWorkOnly(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := Thread()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range 1 << 20 {
		sum += i
	}
	after, err := Thread()
	if err != nil || after <= before {
		t.Errorf("CPU time went from %v to %v over %d additions (%v)", before, after, sum,
			err)
	}
}

// CONFIG_HZ is 100, 250, 300 or 1000.
func TestTick(t *testing.T) {
	tick, err := Tick()
	if err != nil || tick < time.Millisecond || tick > 10*time.Millisecond {
		t.Errorf("a tick of %v (%v)", tick, err)
	}
}
