//go:build linux

package lab

import (
	"fmt"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/tune"
)

// limitFiles lowers or raises the soft limit and keeps the hard one. The Go
// runtime has raised soft to hard when the process started (os/rlimit.go, Go 1.19).
func limitFiles(_ *worker, soft uint64) (nothing, error) {
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil {
		return nothing{}, err
	}
	if soft > own.Max {
		return nothing{}, fmt.Errorf("soft limit %d above the hard limit %d: %w", soft,
			own.Max, syscall.EINVAL)
	}
	return nothing{}, tune.Prlimit(0, soft, own.Max)
}

// fillFiles opens descriptors until the kernel refuses one.
func fillFiles(w *worker, _ nothing) (Opened, error) {
	o := startOpening(maxWithin)
	for o.out.Attempted < maxCount && o.left() > 0 {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		o.note(fd, err)
		if err != nil {
			break
		}
	}
	return o.finish(w), nil
}
