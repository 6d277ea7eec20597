package coalescetest_test

import (
	"testing"
	"time"

	"github.com/maxconn/maxconn/coalesce/coalescetest"
)

var kinds = []struct {
	name string
	pair coalescetest.Pair
}{
	{"tcp", coalescetest.TCP},
	{"unix", coalescetest.Unix},
	{"tls", coalescetest.TLS},
	{"foreign", coalescetest.Foreign},
}

func TestInterleavings(t *testing.T) {
	trials := uint64(60)
	if testing.Short() {
		trials = 15
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			for i := range trials {
				coalescetest.Run(t, seed+i, kind.pair)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func FuzzInterleavings(f *testing.F) {
	for i := range uint64(16) {
		f.Add(i, uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8) {
		coalescetest.Run(t, seed, kinds[int(kind)%len(kinds)].pair)
	})
}
