//go:build linux

package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/vishvananda/netlink"

	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/plan"
)

const (
	udevEnv    = "MAXCONN_PERSIST_UDEV" // the directory of rules, for the child
	testDevice = "maxconn0"
)

func TestMain(m *testing.M) {
	if rules := os.Getenv(udevEnv); rules != "" {
		if err := insideUdev(rules); err != nil {
			fmt.Fprintln(os.Stderr, "inside:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// insideUdev is the child, in a network and mount namespace of its own: it makes a device
// and lets udev apply the rules.
func insideUdev(rules string) error {
	for _, m := range []struct{ source, target, kind string }{{"sysfs", "/sys", "sysfs"},
		{"tmpfs", "/run", "tmpfs"}} {
		if err := syscall.Mount(m.source, m.target, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := os.MkdirAll("/run/udev", 0o755); err != nil {
		return err
	}
	if err := os.CopyFS("/run/udev/rules.d", os.DirFS(rules)); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = testDevice
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("make a device: %w", err)
	}
	out, err := exec.Command(os.Getenv("UDEVADM"), "test", "--action=add",
		"/sys/class/net/"+testDevice).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	length, err := os.ReadFile("/sys/class/net/" + testDevice + "/tx_queue_len")
	fmt.Printf("tx_queue_len is %s\n%s", strings.TrimSpace(string(length)), out)
	return err
}

// The real udev applies the rule. "udevadm test" of some versions only says what it would write.
func TestUdevTakesTheRule(t *testing.T) {
	udevadm, err := exec.LookPath("udevadm")
	if err != nil {
		unavailable(t, "udevadm is not installed")
	}
	for _, x := range []struct {
		device string
		wanted bool
	}{{testDevice, true}, {"maxconn1", false}} {
		out := applyRule(t, udevadm, x.device)
		written := strings.HasPrefix(out, "tx_queue_len is 5000\n") ||
			strings.Contains(out, "tx_queue_len") && strings.Contains(out, `'5000'`)
		if written != x.wanted {
			t.Errorf("a rule for %s sets %s: %v\n%s", x.device, testDevice, written,
				out)
		}
	}
}

func applyRule(t *testing.T, udevadm, device string) string {
	t.Helper()
	s := &scene{root: fstest.MapFS{}, facts: snapshot(t, "system scope = initial\n")}
	s.plan.Changes = []plan.Change{parseChange(t,
		"link "+device+"#txqueuelen: 1000 => 5000; transmit-queue; a burst")}
	s.plan.Changes[0].Why = strings.Join(hostile.Strings("/tmp"), " ") + `\` // stays a comment
	path := rulesPrefix + device + ".rules"
	rules := t.TempDir()
	write(t, filepath.Join(rules, filepath.Base(path)), render(t, s, path))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), udevEnv+"="+rules, "UDEVADM="+udevadm,
		"SYSTEMD_LOG_LEVEL=debug", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS |
		syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if os.Geteuid() != 0 || errors.Is(err, fs.ErrPermission) ||
		strings.Contains(string(out), "operation not permitted") {
		if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
			t.Fatalf("no namespaces here: %v: %s", err, out)
		}
		t.Skip("not root, or no namespaces here")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
