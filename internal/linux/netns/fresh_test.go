//go:build linux

package netns

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFresh(t *testing.T) {
	own, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	var inside ID
	err = Fresh(func() (err error) { inside, err = Self(); return err })
	if errors.Is(err, unix.EPERM) {
		t.Skip("network namespaces cannot be made here: ", err)
	}
	if err != nil || inside == own {
		t.Errorf("ran in %v, the test is in %v: %v", inside, own, err)
	}
	if err := Fresh(func() error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("Fresh gave %v", err)
	}
}
