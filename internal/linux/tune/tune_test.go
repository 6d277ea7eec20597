//go:build linux

package tune

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

func TestSysctl(t *testing.T) {
	nstest.Run(t, func() {
		for _, c := range []struct{ key, value, want string }{
			{"net.ipv4.ip_local_port_range", "20000 20009", "20000\t20009"},
			{"net/ipv4/ip_local_port_range", "20001\t20009", "20001\t20009"},
			{"net.ipv4.ip_local_reserved_ports", "8080,8081,9000-9002",
				"8080-8081,9000-9002"},
			{"net.ipv4.ip_local_reserved_ports", "", ""},
			{"net.core.somaxconn", "5", "5"},
			{"net.ipv4.tcp_fin_timeout", "-1", "-1"}, // an unchecked int
			{"net.ipv4.conf.lo.rp_filter", "0", "0"},
		} {
			if err := Sysctl(c.key, c.value); err != nil {
				t.Errorf("Sysctl(%s, %q) = %v", c.key, c.value, err)
				continue
			}
			file, _ := knob.File(c.key)
			got, err := os.ReadFile("/proc/sys/" + file)
			if err != nil || strings.TrimSuffix(string(got), "\n") != c.want {
				t.Errorf("%s reads %q (%v), want %q", c.key, got, err, c.want)
			}
		}
	})
}

func TestSysctlRefused(t *testing.T) {
	nstest.Run(t, func() {
		for _, c := range []struct {
			key, value string
			want       error
		}{
			{"net.ipv4.ip_local_port_range", "9 5", unix.EINVAL},
			{"net.ipv4.tcp_tw_reuse", "3", unix.EINVAL},
			{"net.ipv4.tcp_tw_recycle", "1", fs.ErrNotExist},
			{"net.ipv4.tcp_mem", "1 2 3", fs.ErrNotExist}, // the first namespace only
			{"net.core", "1", unix.EISDIR},
			{"", "1", knob.ErrNoKey},
			{"net..core", "1", knob.ErrNoKey},
			{"../../etc/hostname", "x", knob.ErrNoKey},
			{"/net/core/somaxconn", "1", knob.ErrNoKey},
		} {
			err := Sysctl(c.key, c.value)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, c.want) || e.Kept() {
				t.Errorf("Sysctl(%s, %q) = %v, want %v", c.key, c.value, err,
					c.want)
			}
		}
	})
}

// The kernel reads numbers with base 0 (kernel/sysctl.c strtoul_lenient), so a
// leading zero makes one octal and another value is kept without an error.
func TestSysctlKeptAnotherValue(t *testing.T) {
	nstest.Run(t, func() {
		err := Sysctl("net.core.somaxconn", "010")
		var e *Error
		if !errors.As(err, &e) || !e.Kept() || e.Got != "8" {
			t.Fatalf("Sysctl(somaxconn, 010) = %v, want that 8 was kept", err)
		}
		if want := "write net.core.somaxconn: read back 8, want 010"; err.Error() != want {
			t.Errorf("error reads %q, want %q", err, want)
		}
	})
}

func TestSysctlUnreadable(t *testing.T) {
	nstest.Run(t, func() {
		err := Sysctl("net.ipv4.route.flush", "1") // mode 0200
		var e *Error
		if !errors.As(err, &e) || e.Op != "read back" || e.Kept() {
			t.Errorf("Sysctl(route.flush) = %v, want that it cannot be read back", err)
		}
	})
}

func TestSysctlNeverCreatesAFile(t *testing.T) {
	root := t.TempDir()
	if err := sysctl(root, "net.core.new", "1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sysctl = %v, want that it does not exist", err)
	}
	if _, err := os.Stat(filepath.Join(root, "net")); err == nil {
		t.Error("a file was created")
	}
}

func TestSysctlStaysInItsNamespace(t *testing.T) {
	before, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Fatal(err)
	}
	nstest.Run(t, func() {
		if err := Sysctl("net.core.somaxconn", "7"); err != nil {
			t.Error(err)
		}
	})
	after, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil || string(after) != string(before) {
		t.Errorf("outside it went from %q to %q (%v)", before, after, err)
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"1024 65535", "1024\t65535", true},
		{" 5 ", "5", true},
		{"5", "6", false},
		{"1,2,3", "1-3", true},
		{"3,1-2", "1-3", true},
		{"1-3", "1-2", false},
		{"8080", "8080", true},
		{"8080,", "8080", false},
		{"010", "10", false},
		{"-1", "-1", true},
		{"", "", true},
		{"", "0", false},
		{"cubic", "cubic", true},
		{"1,2", "1\t2", false},
		{"5-1", "1-5", false},
	} {
		if got := same(c.want, c.got); got != c.same {
			t.Errorf("same(%q, %q) = %v", c.want, c.got, got)
		}
	}
}

func FuzzSame(f *testing.F) {
	f.Add("1,2,3", "1-3")
	f.Add("1024 65535", "1024\t65535")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !same(a, a) || same(a, b) != same(b, a) {
			t.Errorf("same(%q, %q) is not symmetric or not reflexive", a, b)
		}
	})
}

func TestDevice(t *testing.T) {
	nstest.Run(t, func() {
		if err := LinkUp("lo"); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"10.9.8.7/24", "fd00::7/64"} {
			if err := AddAddress("lo", netip.MustParsePrefix(p)); err != nil {
				t.Fatal(err)
			}
			wantListening(t, netip.MustParsePrefix(p).Addr())
		}
		if err := AddRoute("lo", netip.MustParsePrefix("198.18.0.0/15")); err != nil {
			t.Fatal(err)
		}
		routes, err := netlink.RouteGet(net.IPv4(198, 19, 1, 2))
		if err != nil || len(routes) != 1 || routes[0].LinkIndex != 1 {
			t.Errorf("the route to 198.19.1.2 is %v (%v), want lo", routes, err)
		}
	})
}

// wantListening binds a TCP socket in the calling thread's namespace.
func wantListening(t *testing.T, addr netip.Addr) {
	t.Helper()
	var sa unix.Sockaddr = &unix.SockaddrInet4{}
	family := unix.AF_INET
	if addr.Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16()}
	} else {
		sa = &unix.SockaddrInet4{Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, sa); err != nil {
		t.Errorf("bind %v: %v", addr, err)
	}
}

func TestDeviceErrors(t *testing.T) {
	nstest.Run(t, func() {
		var missing netlink.LinkNotFoundError
		prefix := netip.MustParsePrefix("10.0.0.1/8")
		for what, err := range map[string]error{
			"LinkUp":     LinkUp("nosuch0"),
			"AddAddress": AddAddress("nosuch0", prefix),
			"AddRoute":   AddRoute("nosuch0", prefix),
		} {
			if !errors.As(err, &missing) || !strings.Contains(err.Error(), "nosuch0") {
				t.Errorf("%s = %v, want that the device is missing", what, err)
			}
		}
		if err := AddAddress("lo", netip.Prefix{}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("AddAddress(no prefix) = %v", err)
		}
		if err := AddAddress("lo", prefix); err != nil {
			t.Error(err)
		}
		if err := AddAddress("lo", prefix); !errors.Is(err, fs.ErrExist) {
			t.Errorf("adding twice = %v, want EEXIST", err)
		}
	})
}

func TestPrlimit(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &own); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nstest.Tool(t, "cat"))
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer hold.Close()
	pid := cmd.Process.Pid
	if err := Prlimit(pid, 77, own.Max); err != nil {
		t.Fatal(err)
	}
	var got unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &got); err != nil || got.Cur != 77 ||
		got.Max != own.Max {
		t.Errorf("limit is %v (%v), want 77:%d", got, err, own.Max)
	}
	if err := Prlimit(pid, 78, 77); !errors.Is(err, unix.EINVAL) {
		t.Errorf("soft above hard = %v, want EINVAL", err)
	}
	// Above fs.nr_open nobody may go: EPERM with and without CAP_SYS_RESOURCE.
	if err := Prlimit(pid, 1<<40, 1<<40); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("hard limit of 2^40 = %v, want EPERM", err)
	}
}

func TestPrlimitGone(t *testing.T) {
	if err := Prlimit(1<<30, 64, 64); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Prlimit(no process) = %v, want ESRCH", err)
	}
}
