//go:build linux

package main

import (
	endian "encoding/binary"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// apply is killed half-way, and the power goes half-way, at a step that is chosen and not
// at a time: status tells the truth and rollback cleans up, before and after the boot.
func TestVMPowerCut(t *testing.T) {
	onKernels(t, func(t *testing.T, m *machine) {
		m.playAndCut("kill")
		m.playAndCut("after the cut")
		m.play("half persisted")
	})
}

// journals is where runs are written down.
const journals = "/var/lib/maxconn/runs"

// hold runs maxconn until it is about to open the journal of a run for the nth time, which
// it does for each entry but the first, and leaves it there. The kernel asks before each
// open whether it may go on (fanotify(7), FAN_OPEN_PERM). kill ends it.
func (g *guest) hold(journal string, nth int, args ...string) (kill func()) {
	g.check(os.MkdirAll(journals, 0o700))
	ask, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC,
		unix.O_RDONLY|unix.O_CLOEXEC)
	g.check(err)
	g.check(unix.FanotifyMark(ask, unix.FAN_MARK_ADD,
		unix.FAN_OPEN_PERM|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, journals))
	cmd := exec.Command("/usr/local/bin/maxconn", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	g.check(cmd.Start())
	for buffer := make([]byte, 4096); ; {
		n, err := unix.Read(ask, buffer)
		g.check(err)
		for event := buffer[:n]; len(event) >=
			unix.FAN_EVENT_METADATA_LEN; event = event[endian.NativeEndian.Uint32(
			event):] {
			// struct fanotify_event_metadata: event_len, vers, reserved,
			// metadata_len, mask, fd, pid
			fd := endian.NativeEndian.Uint32(event[16:20])
			path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(fd)))
			g.check(err)
			if path == journals+"/"+journal {
				nth--
			}
			if nth == 0 {
				return func() {
					g.check(cmd.Process.Kill())
					_ = cmd.Wait() // it was killed
					g.check(unix.Close(ask))
				}
			}
			answer := endian.NativeEndian.AppendUint32(
				endian.NativeEndian.AppendUint32(nil, fd), unix.FAN_ALLOW)
			_, err = unix.Write(ask, answer)
			g.check(err)
			g.check(unix.Close(int(fd)))
		}
	}
}

// half are the first of the changes, and the rest.
func half(p plan.Plan, n int) (first, rest plan.Plan) {
	first, rest = p, p
	first.Changes, rest.Changes = p.Changes[:n], p.Changes[n:]
	return first, rest
}

// sceneKill kills apply after its third write, whose entry is not on the disk yet, rolls
// back, and cuts the power at the same place of another run.
func sceneKill(g *guest) {
	before := g.kernel()
	p := g.planFor(before, lasting(before)...)
	g.writeJSON(planFile, p)
	g.writeJSON(valuesFile, before)
	third, _ := half(p, 3)

	// An intent and a result for each change: the sixth entry is the third result.
	kill := g.hold("1.jsonl", 6, "apply", "--yes", "--persist", planFile)
	g.holds(third, g.kernel(), before, conntrackAliases()...)
	kill()
	screen := g.maxconn(1, "status")
	g.says(screen, "interrupted: maxconn rollback 1", "fs.nr_open: 2097152, was 1048576",
		"txqueuelen of dummy0: 500, as before")
	g.says(g.maxconn(70, "apply", "--yes", planFile), "run 1 is not over: it is interrupted")
	g.says(g.maxconn(0, "rollback"), "undone", "fs.nr_open: back to 1048576")
	g.sameAs("after the rollback of a killed apply", g.kernel(), before)
	g.says(g.maxconn(0, "status"), "nothing is applied")

	g.hold("2.jsonl", 6, "apply", "--yes", "--persist", planFile)
	g.powerCut()
}

// sceneAfterCut finds a kernel that knows nothing of run 2, and cuts the power of run 3
// when one file is there.
func sceneAfterCut(g *guest) {
	fresh := g.kernel()
	g.says(g.maxconn(0, "status"), "run 2", "ended with its boot, nothing of it is left")
	g.says(g.maxconn(0, "rollback"), "run 2: undone", "nothing to restore: its boot is over")
	g.sameAs("after the rollback of an earlier boot", g.kernel(), fresh)
	if left := g.ownFiles(); len(left) > 0 {
		g.errorf("files %q are there", left)
	}
	g.says(g.maxconn(0, "status"), "nothing is applied")

	p := g.planFor(fresh, lasting(fresh)...)
	g.writeJSON(planFile, p)
	g.writeJSON(valuesFile, fresh)
	// Two entries a change, one that all are written, one before each file: at the
	// second of these the first file is there.
	g.hold("3.jsonl", 2*len(p.Changes)+3, "apply", "--yes", "--persist", planFile)
	if left := g.ownFiles(); !slices.Equal(left, []string{persist.SysctlFile}) {
		g.errorf("files %q are there, want the first", left)
	}
	g.powerCut()
}

// sceneHalfPersisted: the one file acts at boot, so the run is no matter of the past.
func sceneHalfPersisted(g *guest) {
	fresh := g.kernel()
	g.command(0, systemdSysctl)
	p, _ := g.kept()
	sysctls, _ := half(p, len(p.Changes)-1)
	g.holds(sysctls, g.kernel(), fresh, conntrackAliases()...)
	g.says(g.maxconn(1, "status"), "run 3", "interrupted, its boot ended", "maxconn rollback 3",
		"fs.nr_open: 2097152, was 1048576", persist.SysctlFile+": as applied")
	g.says(g.maxconn(70, "apply", "--yes", planFile), "run 3 is not over")
	g.says(g.maxconn(0, "rollback"), "run 3: undone", "fs.nr_open: back to 1048576")
	before := g.readValues()
	now := g.kernel()
	for _, c := range sysctls.Changes {
		if fact := c.Target.Fact().String(); now[fact] != before[fact] {
			g.errorf("%s is %s after rollback, it was %s", fact, now[fact],
				before[fact])
		}
	}
	if left := g.ownFiles(); len(left) > 0 {
		g.errorf("rollback left %q", left)
	}
	if lines := strings.Count(g.maxconn(0, "history"), "undone"); lines != 3 {
		g.errorf("the history has %d runs that were undone, want 3", lines)
	}
}
