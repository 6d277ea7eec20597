package dial

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// filesRole dials while it has no descriptor, first of all and later.
const filesRole = "files"

func TestWithoutDescriptors(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVar+"="+filesRole, specVar+`="`+to.String()+`"`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil ||
		strings.TrimSpace(string(out)) != "done" {
		t.Errorf("%v: %s", err, out)
	}
}

// dialWithoutFiles checks that a lack of descriptors is reported as it is, changes no
// source, leaves nothing counted, and has no effect once it is over: neither on what the
// first dial finds out of the kernel nor on the pool.
func dialWithoutFiles() error {
	var to netip.AddrPort
	if err := json.Unmarshal([]byte(os.Getenv(specVar)), &to); err != nil {
		return err
	}
	warm := &Dialer{Sources: sourcesOnLoopback()}
	c, err := warm.Dial("tcp", to.String())
	if err != nil {
		return err
	}
	want := warm.Stats().Choice
	free, err := takeAllFiles()
	if err != nil {
		return err
	}
	fresh := &Dialer{Sources: sourcesOnLoopback()}
	device := &Dialer{Device: "lo"}
	for _, d := range []*Dialer{warm, fresh, device} {
		if _, err := d.Dial("tcp", to.String()); !errors.Is(err, syscall.EMFILE) ||
			errors.Is(err, ErrPortsExhausted) || errors.Is(err, ErrNoSource) {
			return fmt.Errorf("without descriptors: %w", err)
		}
	}
	if err := fresh.Refresh(); !errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("Refresh without descriptors: %w", err)
	}
	if s := warm.Stats(); s.Rotated != 0 || s.Destinations[0].Open != 1 || s.Sources[0].Gone ||
		s.Sources[1].Gone {
		return fmt.Errorf("without descriptors: %+v", s)
	}
	free()
	c.Close()
	for _, d := range []*Dialer{warm, fresh, device} {
		c, err := d.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		c.Close()
		if s := d.Stats(); s.Choice != want || s.Ports == nil {
			return fmt.Errorf("with descriptors again: %+v, want %s", s, want)
		}
	}
	fmt.Println("done")
	return nil
}

func sourcesOnLoopback() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")}
}

// takeAllFiles fills the table of this process.
func takeAllFiles() (free func(), err error) {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
		return nil, err
	}
	var fds []int
	for {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	return func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}, nil
}
