//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// What apply --persist wrote is there after a power cut, and in the kernel once the
// programs of the boot have read it: systemd-modules-load, systemd-sysctl and udev at the
// first boot, procps at the second. A file that wins is named.
func TestVMPersistence(t *testing.T) {
	onKernels(t, func(t *testing.T, m *machine) {
		m.playAndCut("persist")
		m.playAndCut("first boot")
		m.play("rival")
	})
}

// Files of the test itself, on the disk.
const (
	planFile   = "/var/plan.json"
	valuesFile = "/var/values.json"
	rivalFile  = "/etc/sysctl.d/zz-other.conf"
)

// lasting are changes that files can keep: sysctls of the host and of its network
// namespace, and a device's queue.
func lasting(before values) []plan.Change {
	return []plan.Change{
		set("net.ipv4.tcp_mem", twice(before["sysctl net.ipv4.tcp_mem"])),
		set("fs.file-max", twice(before["sysctl fs.file-max"])),
		set("fs.nr_open", "2097152"),
		set("net.netfilter.nf_conntrack_buckets", "65536"),
		set("net.netfilter.nf_conntrack_max", "131072"),
		set("net.ipv4.tcp_max_orphans", "40000"),
		set("net.ipv4.neigh.default.gc_thresh3", "8192"),
		lengthen("dummy0", "1000"),
	}
}

// scenePersist ends in a power cut, with nothing synced but what apply has.
func scenePersist(g *guest) {
	pid := g.serve("8080", "1024", "4096")
	g.check(os.MkdirAll("/sys/fs/cgroup/system.slice/web.service", 0o755))
	g.check(os.WriteFile("/sys/fs/cgroup/system.slice/web.service/cgroup.procs",
		[]byte(strconv.Itoa(pid)), 0))
	before := g.kernel(pid)
	p := g.planFor(before, append(lasting(before), g.limitTo(pid, "hard", "8192"))...)
	g.writeJSON(planFile, p)
	g.writeJSON(valuesFile, before)
	screen := g.maxconn(0, "apply", "--yes", "--persist", planFile)
	g.says(screen, "wrote "+persist.SysctlFile,
		"wrote /etc/udev/rules.d/90-maxconn-dummy0.rules",
		"wrote /etc/systemd/system/web.service.d/zz-maxconn.conf",
		"wrote "+persist.VerifyUnit)
	g.holds(p, g.kernel(pid), before, conntrackAliases()...)
	g.maxconn(0, "verify")
	g.powerCut()
}

// powerCut turns the machine off under everything that runs, without a sync, unless
// something was wrong: that has to be told.
func (g *guest) powerCut() {
	if g.failed {
		os.Exit(1)
	}
	g.check(syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART))
}

// kept is the plan without what no file keeps, and what the kernel said at its boot.
func (g *guest) kept() (p plan.Plan, before values) {
	p = g.readPlan(planFile)
	p.Changes = lasting(g.readValues())
	return p, g.readValues()
}

func sceneFirstBoot(g *guest) {
	p, _ := g.kept()
	fresh := g.kernel()
	// The control: before any file is read the kernel has its own values, and verify says so.
	g.says(g.maxconn(1, "verify", "--boot"), "fs.nr_open: 2097152 is wanted, it is 1048576")
	g.says(g.maxconn(0, "status"), "fs.nr_open: 1048576, as before")
	g.reloadConntrack("65536")
	g.command(0, systemdSysctl)
	g.udev()
	// A module that is loaded with a larger table expects more, too
	// (net/netfilter/nf_conntrack_expect.c nf_conntrack_expect_init).
	g.holds(p, g.kernel(), fresh,
		conntrackAliases("sysctl net.netfilter.nf_conntrack_expect_max")...)
	g.says(g.text("/etc/systemd/system/web.service.d/zz-maxconn.conf"),
		"\nLimitNOFILE=1024:524288")

	g.runUnit(0)
	g.maxconn(0, "verify")
	g.says(g.maxconn(0, "status"), "in effect", "fs.nr_open: 2097152, was 1048576",
		"hard descriptor limit of exe (pid ", ": gone: its boot is over")

	// A second run adds to the same file. Both hold, and neither calls the other a stranger.
	g.writeJSON("/tmp/second.json", g.planFor(g.kernel(), set("net.core.somaxconn", "8192")))
	g.maxconn(0, "apply", "--yes", "--persist", "/tmp/second.json")
	g.runUnit(0)
	g.says(g.maxconn(0, "status"), persist.SysctlFile+": changed by a later run")
	g.check(writeSynced(rivalFile, []byte("net.ipv4.tcp_max_orphans = 12345\n")))
	g.says(g.maxconn(1, "verify"), "it is 12345: "+rivalFile+":1 sets 12345 after it")
	g.powerCut()
}

// udev is what systemd-udevd and systemd-udev-trigger.service do at boot.
func (g *guest) udev() {
	g.check(os.MkdirAll("/run/udev", 0o755))
	g.command(0, systemdUdev, "--daemon")
	g.command(0, "udevadm", "trigger", "--action=add", "--subsystem-match=net")
	g.command(0, "udevadm", "settle", "--timeout=60")
}

// runUnit runs what the unit of the next boot has for a command, as it stands there.
func (g *guest) runUnit(status int) string {
	for line := range strings.Lines(g.text(persist.VerifyUnit)) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			argv := strings.Fields(command)
			return g.command(status, argv[0], argv[1:]...)
		}
	}
	g.errorf("the unit has no command")
	return ""
}

// sceneRival boots with procps and a file that has the last word, and rolls the run back.
func sceneRival(g *guest) {
	p, before := g.kept()
	g.command(0, "sysctl", "--system")
	g.udev()
	g.says(g.runUnit(1), "tcp_max_orphans: 40000 is wanted, it is 12345: "+rivalFile+
		":1 sets it")
	g.says(g.maxconn(1, "verify"), rivalFile)
	g.says(g.maxconn(1, "status"), "12345, changed by somebody else")

	g.check(os.Remove(rivalFile))
	g.command(0, "sysctl", "--system")
	g.runUnit(0)
	now := g.kernel()
	for _, c := range p.Changes {
		if fact := c.Target.Fact().String(); now[fact] != c.To {
			g.errorf("%s is %s after sysctl --system, want %s", fact, now[fact], c.To)
		}
	}
	if now["sysctl net.core.somaxconn"] != "8192" {
		g.errorf("net.core.somaxconn of the second run is %s",
			now["sysctl net.core.somaxconn"])
	}

	g.says(g.maxconn(70, "rollback", "1"), "run 2 changed "+persist.SysctlFile,
		"maxconn rollback 2")
	g.says(g.maxconn(0, "rollback"), "run 2: undone", "net.core.somaxconn: back to 4096")
	g.says(g.maxconn(0, "rollback", "1"), "run 1: undone")
	now = g.kernel()
	for _, c := range p.Changes {
		if fact := c.Target.Fact().String(); now[fact] != before[fact] {
			g.errorf("%s is %s after rollback, it was %s", fact, now[fact],
				before[fact])
		}
	}
	if left := g.ownFiles(); len(left) > 0 {
		g.errorf("rollback left %q", left)
	}
	g.says(g.maxconn(0, "status"), "nothing is applied")
	g.says(g.maxconn(0, "verify"), "nothing to compare")
	g.says(g.maxconn(0, "history"), "undone")
}

// ownFiles are the files and directories of maxconn below /etc.
func (g *guest) ownFiles() (found []string) {
	g.check(filepath.WalkDir("/etc", func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, "maxconn") || strings.Contains(path, "web.service") {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func (g *guest) readValues() (v values) {
	v = values{}
	g.check(json.Unmarshal([]byte(g.text(valuesFile)), &v))
	return v
}
