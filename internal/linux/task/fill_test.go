//go:build linux

package task

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestFill(t *testing.T) {
	runtime.LockOSThread() // the maker dies with the thread that made it
	defer runtime.UnlockOSThread()
	r, err := Fill(Spec{Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	if r.Made != 10 || r.Errno != 0 || len(strings.Fields(r.Load)) != 5 {
		t.Errorf("made %+v, want 10 tasks", r)
	}
}

func TestFillToTheLimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root takes a user whose tasks are known")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := Fill(Spec{Most: 50, UID: 1<<31 - 77, Limit: 20})
	if err != nil {
		t.Fatal(err)
	}
	if r.Made != 19 || r.Errno != syscall.EAGAIN {
		t.Errorf("made %+v, want 19 tasks and EAGAIN", r)
	}
	if r, err := Fill(Spec{Most: 50, Limit: 20}); err != nil || r.Made != 50 {
		t.Errorf("root made %+v (%v), want 50 tasks", r, err)
	}
}

func TestFillSaysWhatFailed(t *testing.T) {
	if _, err := Fill(Spec{Most: 1, Cgroup: "/nowhere/cgroup.procs"}); err == nil {
		t.Error("joined a cgroup that is not there")
	}
	if _, err := Fill(Spec{Most: 1, Cgroup: "/dev/full"}); err == nil ||
		!strings.Contains(err.Error(), "join the cgroup") {
		t.Errorf("Fill = %v, want a word about the cgroup", err)
	}
}
