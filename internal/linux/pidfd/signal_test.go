//go:build linux

package pidfd

import (
	"os"
	"os/signal"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A process is not said to have ended because a signal came to the one that asks.
func TestRunningUnderSignals(t *testing.T) {
	hear := make(chan os.Signal, 1)
	signal.Notify(hear, unix.SIGURG)
	defer signal.Stop(hear)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, err := Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	own, stop, done := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), own, unix.SIGURG)
			}
		}
	}()
	for n := range 200_000 {
		if !p.Running() {
			t.Errorf("look %d: this process is said to have ended", n)
			break
		}
	}
	close(stop)
	<-done
}
