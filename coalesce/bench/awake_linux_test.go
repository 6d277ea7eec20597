package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// awake keeps all processors from going idle, with loops of the lowest class (SCHED_IDLE)
// that give way to everything else. A virtual machine's processor that is idle takes tens
// of microseconds to wake, and in a ping-pong that is most of what is measured; one of a
// busy server is not idle. It is what the boot option idle=poll does.
//
// busy is the same with another program that takes a number of processors for itself, at
// the usual priority.
type awake struct{ cmds []*exec.Cmd }

func (a *awake) start(t *testing.T, role string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf(`%s={"Role":%q}`, childEnv, role))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	a.cmds = append(a.cmds, cmd)
}

// company starts what is to run beside each measurement.
func company(t *testing.T) *awake {
	a := &awake{}
	if *noIdle {
		a.start(t, "awake")
	}
	for range *busy {
		a.start(t, "busy")
	}
	return a
}

// spinForEver is what the child does.
func spinForEver() error {
	failed := make(chan error)
	for cpu := range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread()
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				failed <- fmt.Errorf("sched_setaffinity: %w", err)
			}
			if err := unix.SchedSetAttr(0,
				&unix.SchedAttr{Size: unix.SizeofSchedAttr,
					Policy: unix.SCHED_IDLE}, 0); err != nil {
				failed <- fmt.Errorf("sched_setattr: %w", err)
			}
			for n := 0; ; n++ {
				runtime.KeepAlive(n)
			}
		}()
	}
	return <-failed
}

// cpuTime is the CPU time in ns that the loops have used. Nil has none.
func (a *awake) cpuTime() (n int64) {
	if a == nil {
		return 0
	}
	for _, cmd := range a.cmds {
		n += timeOf(cmd.Process.Pid)
	}
	return n
}

func timeOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	var user, system int64
	if _, err := fmt.Sscan(f[11], &user); err != nil {
		panic(err)
	}
	if _, err := fmt.Sscan(f[12], &system); err != nil {
		panic(err)
	}
	return (user + system) * 10_000_000 // USER_HZ is 100
}
