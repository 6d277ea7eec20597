package procfs_test

import (
	"os"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// The initial pid namespace has no parent in which its processes have other
// numbers, so its first process is the one that every kernel thread descends
// from.
func TestShowsHost(t *testing.T) {
	kernel, err := os.ReadFile("/proc/2/comm")
	host := err == nil && string(kernel) == "kthreadd\n"
	if got, err := procfs.Root("").ShowsHost(); got != host || err != nil {
		t.Errorf("%v, %v; process 2 is %q", got, err, kernel)
	}
	if got, err := procfs.Root(t.TempDir()).ShowsHost(); got || err == nil {
		t.Errorf("an empty tree: %v, %v", got, err)
	}
}
