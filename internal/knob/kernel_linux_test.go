package knob_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(m.Run())
}

func namespace(t *testing.T) (*lab.Lab, host.Release) {
	t.Helper()
	l, err := lab.Start(context.Background())
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(knob.Dir + "kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	release, err := host.ParseRelease(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return l, release
}

// What the rows and names say of this kernel is what it shows in a new network namespace: which
// settings are there, and with which default.
func TestKernelAgrees(t *testing.T) {
	l, kernel := namespace(t)
	nothing := host.Snapshot{}
	on := knob.Host{Kernel: kernel, Read: nothing.Read()}
	for _, k := range knob.All() {
		if !k.IsSysctl() || !strings.HasPrefix(k.Name, "net.") ||
			strings.Contains(k.Name, "*") || k.Module != "" {
			continue
		}
		value, err := l.Value(k.Name)
		there := !errors.Is(err, fs.ErrNotExist)
		if shown, sure := shows(k, kernel); sure && there && !shown {
			t.Errorf("%s is there in a new namespace of %s: %q", k.Name, kernel, value)
		}
		if shown, sure := shows(k, kernel); k.IsRow() && sure && shown && !there {
			t.Errorf("%s is not there in a new namespace of %s", k.Name, kernel)
		}
		standard, fixed := k.Default.Fixed(on.Kernel)
		if fixed && err == nil && k.Scope.OfNetns() && k.Takes.N <= 1 &&
			value != standard && k.Takes.Kind != knob.Ports {
			t.Errorf("%s is %q in a new namespace of %s, want %q", k.Name, value,
				kernel, standard)
		}
	}
}

// shows says whether a child network namespace shows a setting.
func shows(k *knob.Knob, kernel host.Release) (yes, sure bool) {
	if k.Gone(kernel) {
		return false, true
	}
	if came, known := k.Since.Reached(kernel); !k.Since.None() && !came {
		return false, known
	}
	return k.Scope.InChild(kernel)
}

// wider are bounds of rows that are known to be wider than those of 6.18 (measured there),
// because it is not settled since which release the kernel looks: 0 to 255, 0 to 1, 0 to 1,
// from 0, 1 to 300.
var wider = []string{
	"net.ipv4.ip_nonlocal_bind", "net.netfilter.nf_conntrack_tcp_loose",
	"net.netfilter.nf_conntrack_tcp_be_liberal", "net.core.optmem_max",
	"net.ipv4.tcp_reordering",
}

// The kernel takes the ends of the bounds of a row, and refuses what lies beyond. What it does with
// values in between is not this test's to say: writes go to a namespace that ends with it.
func TestKernelBounds(t *testing.T) {
	l, kernel := namespace(t)
	for _, k := range knob.Rows() {
		if !k.IsSysctl() || !k.Scope.OfNetns() || k.Takes.Kind != knob.Numbers ||
			k.Takes.N != 1 {
			continue
		}
		if _, err := l.Value(k.Name); err != nil || slices.Contains(wider, k.Name) {
			continue
		}
		b := k.Takes.At(kernel)
		for n, want := range map[int64]bool{b.Low - 1: false, b.Low: true, b.Top: true,
			b.Top + 1: false} {
			if n == -1<<63 || n == 1<<63-1 ||
				k.Name == "net.ipv4.ip_unprivileged_port_start" {
				continue // it has to stay below the port range, too
			}
			err := l.Set(k.Name, strconv.FormatInt(n, 10))
			if refused := errors.Is(err, syscall.EINVAL) ||
				errors.Is(err, syscall.ERANGE); refused == want {
				t.Errorf("%s = %d on %s: %v, want that it is taken: %v", k.Name, n,
					kernel, err, want)
			}
		}
	}
}
