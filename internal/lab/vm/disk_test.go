//go:build linux

package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newDisk(t *testing.T) *Disk {
	t.Helper()
	// qemu's options are separated by commas
	path := filepath.Join(t.TempDir(), "a,b.img")
	d, err := NewDisk(t.Context(), path)
	if errors.Is(err, ErrUnavailable) {
		skip(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewDisk(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second disk at the same place: %v", err)
	}
	return d
}

// What is on a disk is there after a reboot, on every kernel; files of the Spec are put over it.
func TestReboot(t *testing.T) {
	eachSeries(t, func(t *testing.T, series string, k Kernel) {
		d := newDisk(t)
		for _, b := range []struct{ word, given, want string }{
			{"first", "one", "etc [first]\nvar [first]\ngiven one"},
			{"second", "two",
				"etc [first second]\nvar [first second]\ngiven two"},
		} {
			spec := role(k, "keep", b.word)
			spec.Disk, spec.Files = d,
				map[string][]byte{"/etc/given": []byte(b.given)}
			out := boot(t, spec)
			if got := strings.TrimSpace(string(out.Stdout)); got != b.want ||
				out.Code != 0 {
				t.Errorf("got %q %s, want %q", got, out.Stderr, b.want)
			}
		}
	})
}

// A command that turns the machine off under itself leaves what it had synced.
func TestPowerCut(t *testing.T) {
	k, d := anyKernel(t), newDisk(t)
	spec := role(k, "cut")
	spec.Disk = d
	out, err := Run(t.Context(), spec)
	if !errors.Is(err, ErrStopped) || out.Code != -1 {
		t.Fatalf("Run = %d, %v %s", out.Code, err, out.Stderr)
	}
	spec = Spec{Kernel: k, Disk: d, Binary: "/bin/cat", Args: []string{"/var/synced"}}
	if out := boot(t, spec); string(out.Stdout) != "whole" {
		t.Errorf("after the cut: %q %s", out.Stdout, out.Stderr)
	}
}

// One disk, two machines: the second is refused.
func TestDiskInUse(t *testing.T) {
	k, d := anyKernel(t), newDisk(t)
	held := role(k, "sleep")
	held.Disk = d
	talks := make(chan struct{}, 1)
	held.Stdout = signalWriter(talks)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, held)
		ended <- err
	}()
	select {
	case <-talks:
	case err := <-ended:
		t.Fatal(err)
	}
	second := role(k, "sleep")
	second.Disk = d
	if _, err := Run(t.Context(), second); !errors.Is(err, ErrStopped) ||
		!strings.Contains(err.Error(), "lock") {
		t.Errorf("the second machine: %v", err)
	}
	cancel()
	<-ended
}
