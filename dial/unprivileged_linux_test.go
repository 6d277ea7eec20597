package dial

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// unprivilegedRole dials on loopback as it is.
const unprivilegedRole = "unprivileged"

// TestUnprivileged has an ordinary user dial with every choice: nothing here needs a capability.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("all tests run without privileges already")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"="+unprivilegedRole)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
		Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "65534 done" {
		t.Errorf("%v: %s", err, out)
	}
}

// dialUnprivileged uses each choice with a pool and without.
func dialUnprivileged() error {
	to := netip.MustParseAddrPort("127.0.0.8:39471")
	if err := serveAt(to); err != nil {
		return err
	}
	for _, choice := range []Choice{AutoPort, MovingWindow, KernelPort, ExplicitPort} {
		for _, pool := range [][]netip.Addr{nil,
			{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}} {
			c, err := (&Dialer{Choice: choice, Sources: pool}).Dial("tcp", to.String())
			if err != nil {
				return err
			}
			c.Close()
		}
	}
	fmt.Println(os.Getuid(), "done")
	return nil
}
