//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// What only a whole machine shows: settings of the host, a boot, a power cut. The test
// binary is the init of the machine, and the operator in it, who uses the maxconn that is
// released and looks at the kernel himself.

// sceneVar names the scene that the test binary plays inside a machine.
const sceneVar = "MAXCONN_VM_SCENE"

// machineMain makes the test binary the init of a machine, or what plays a scene in one.
// TestMain calls it first: process 1 of a machine is nothing else.
func machineMain() {
	vm.Main()
	if name := os.Getenv(sceneVar); name != "" {
		os.Exit(playScene(name, os.Args[1:]))
	}
}

// onKernels runs a test on each kernel that is asked for.
func onKernels(t *testing.T, test func(t *testing.T, m *machine)) {
	vmtest.OnKernels(t, func(t *testing.T, k vm.Kernel) {
		d, err := vm.NewDisk(t.Context(), filepath.Join(t.TempDir(), "disk"))
		if err != nil {
			t.Fatal(err)
		}
		test(t, &machine{T: t, kernel: k, disk: d})
	})
}

// machine is one computer with its disk; each scene is a boot of it.
type machine struct {
	*testing.T
	kernel vm.Kernel
	disk   *vm.Disk
}

// play boots the machine for a scene, which must come to its end without a complaint.
func (m *machine) play(scene string) {
	m.Helper()
	if out, err := m.boot(scene); err != nil || out.Code != 0 {
		m.Fatalf("%s: status %d, %v\n%s%s", scene, out.Code, err, out.Stdout, out.Stderr)
	}
}

// playAndCut boots the machine for a scene that ends in a power cut.
func (m *machine) playAndCut(scene string) {
	m.Helper()
	if out, err := m.boot(scene); !errors.Is(err, vm.ErrStopped) || len(out.Stderr) > 0 {
		m.Fatalf("%s did not come to its power cut: status %d, %v\n%s%s", scene, out.Code,
			err, out.Stdout, out.Stderr)
	}
}

func (m *machine) boot(scene string) (vm.Output, error) {
	m.Helper()
	out, err := vm.Run(m.Context(), vm.Spec{
		Kernel: m.kernel, Files: m.files(), Env: []string{sceneVar + "=" + scene},
		Disk:    m.disk,
		Modules: []string{"dummy numdummies=1"}, Timeout: 5 * time.Minute,
	})
	m.Logf("%s on %s: %.1f s to the command, %.1f s in all\n%s", scene, out.Release,
		out.Boot.Seconds(), out.Took.Seconds(), out.Stdout)
	return out, err
}

// released is maxconn as it is released, built once.
var released = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "maxconn-vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "maxconn")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(path)
})

// Programs of this host that set the settings of files at boot.
const (
	systemdSysctl = "/usr/lib/systemd/systemd-sysctl"
	systemdUdev   = "/usr/lib/systemd/systemd-udevd"
)

// files are what the machine has on its root file system besides the test binary.
func (m *machine) files() map[string][]byte {
	m.Helper()
	text, err := released()
	if err != nil {
		m.Fatal(err)
	}
	files := map[string][]byte{"/usr/local/bin/maxconn": text}
	programs := map[string]string{
		"sysctl": "procps", systemdSysctl: "systemd", systemdModules: "systemd",
		systemdUdev: "udev", "udevadm": "udev", "modprobe": "kmod",
	}
	for name, debian := range programs {
		more, err := vm.Program(m.Context(), name)
		switch {
		case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
			m.lacks(name, debian)
		case err != nil:
			m.Fatal(err)
		}
		maps.Copy(files, more)
	}
	maps.Copy(files, m.moduleTree())
	return files
}

// lacks is for a program that is not on this host.
func (m *machine) lacks(name, debian string) {
	m.Helper()
	if vm.Required(os.Getenv) {
		m.Fatalf("no %s here: it is in the Debian package %s", name, debian)
	}
	m.Skipf("no %s here: it is in the Debian package %s", name, debian)
}

// guest is the operator inside.
type guest struct {
	args   []string
	failed bool
}

// playScene is the life of the test binary inside a machine.
func playScene(name string, args []string) int {
	scenes := map[string]func(*guest){
		"serve": sceneServe, "settings": sceneSettings, "workload": sceneWorkload,
		"persist": scenePersist, "first boot": sceneFirstBoot, "rival": sceneRival,
		"kill": sceneKill, "after the cut": sceneAfterCut,
		"half persisted": sceneHalfPersisted,
		"tracked load":   sceneTrackedLoad,
	}
	g := &guest{args: args}
	if name != "serve" { // that one runs beside another
		// A plan makes a queue no longer than the kernel does: somebody has made this one
		// shorter.
		g.check(os.WriteFile("/sys/class/net/dummy0/tx_queue_len", []byte("500"), 0))
	}
	scenes[name](g)
	if g.failed {
		return 1
	}
	return 0
}

// errorf complains and goes on.
func (g *guest) errorf(format string, args ...any) {
	g.failed = true
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// check ends the scene where something that it stands on does not work.
func (g *guest) check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// maxconn runs the verb, which must end with this status, and gives what was on the screen.
func (g *guest) maxconn(status int, args ...string) string {
	return g.command(status, "/usr/local/bin/maxconn", args...)
}

func (g *guest) command(status int, program string, args ...string) string {
	var screen bytes.Buffer
	g.run(status, exec.Command(program, args...), &screen, &screen)
	return screen.String()
}

// maxconnOut is maxconn with what it wrote for another program.
func (g *guest) maxconnOut(status int, args ...string) string {
	var out, screen bytes.Buffer
	g.run(status, exec.Command("/usr/local/bin/maxconn", args...), &out, &screen)
	return out.String()
}

func (g *guest) run(status int, cmd *exec.Cmd, out, screen *bytes.Buffer) {
	cmd.Stdout, cmd.Stderr = out, screen
	err := cmd.Run()
	if cmd.ProcessState == nil {
		g.check(err)
	}
	name, args := filepath.Base(cmd.Path), cmd.Args[1:]
	fmt.Printf("$ %s %s\n%s", name, strings.Join(args, " "), screen)
	if code := cmd.ProcessState.ExitCode(); code != status {
		g.errorf("%s %q ended with %d, want %d\n%s", name, args, code, status, screen)
	}
}

// says complains where a screen lacks something.
func (g *guest) says(screen string, wants ...string) {
	for _, want := range wants {
		if !strings.Contains(screen, want) {
			g.errorf("the screen does not say %q:\n%s", want, screen)
		}
	}
}
