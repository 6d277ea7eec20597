//go:build linux

package lab

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// spawnBeside starts the first worker of a lab beside this one, in a network namespace of its own.
func spawnBeside(w *worker, _ nothing) (spawned, error) {
	if len(w.passed) != 1 {
		return spawned{}, fmt.Errorf("beside: %d descriptors came along, want 1",
			len(w.passed))
	}
	control := os.NewFile(uintptr(w.passed[0]), "control")
	w.passed = nil
	defer control.Close()
	cmd, granted, err := workerCommand("lab", control)
	if err != nil {
		return spawned{}, err
	}
	defer granted()
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if err := cmd.Start(); err != nil {
		return spawned{}, err
	}
	if w.beside == nil {
		w.beside = map[int]chan struct{}{}
	}
	ended := make(chan struct{})
	w.beside[cmd.Process.Pid] = ended
	w.children.Go(func() { cmd.Wait(); close(ended) })
	return spawned{cmd.Process.Pid}, nil
}

// awaitBeside waits for the end of such a worker, which somebody else has killed.
func awaitBeside(w *worker, pid int) (nothing, error) {
	ended, ok := w.beside[pid]
	if !ok {
		return nothing{}, fmt.Errorf("process %d is no lab beside this one", pid)
	}
	select {
	case <-ended:
		delete(w.beside, pid)
		return nothing{}, nil
	case <-time.After(closeGrace):
		return nothing{}, fmt.Errorf("worker %d still runs %v after SIGKILL", pid,
			closeGrace)
	}
}
