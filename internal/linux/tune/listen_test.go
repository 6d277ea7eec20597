//go:build linux

package tune

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func socket(t *testing.T, listening bool) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "the socket")
	t.Cleanup(func() { f.Close() })
	if listening {
		if err := unix.Listen(fd, 3); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func TestListen(t *testing.T) {
	nstest.Run(t, func() {
		if err := Sysctl("net.core.somaxconn", "100"); err != nil {
			t.Fatal(err)
		}
		s := socket(t, true)
		for _, n := range []uint32{64, 100, 2, 0} {
			if err := Listen(s, n); err != nil {
				t.Errorf("Listen(%d) = %v", n, err)
			}
		}
		var e *Error
		if err := Listen(s, 101); !errors.As(err, &e) || !e.Kept() || e.Got != "100" {
			t.Errorf("above somaxconn: %v, want that 100 was kept", err)
		}
		plain := socket(t, false)
		if err := Listen(plain, 5); !errors.Is(err, unix.EINVAL) {
			t.Errorf("on a socket that does not listen: %v", err)
		}
		conn, err := plain.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Control(func(fd uintptr) {
			if on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET,
				unix.SO_ACCEPTCONN); err != nil || on != 0 {
				t.Errorf("it listens now: %d, %v", on, err)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestLinkTxQueueLen(t *testing.T) {
	nstest.Run(t, func() {
		for _, n := range []uint32{500, 1000, 0} {
			if err := LinkTxQueueLen("lo", 0, n); err != nil {
				t.Errorf("LinkTxQueueLen(lo, %d) = %v", n, err)
			}
			dev, err := net.InterfaceByName("lo")
			if err != nil {
				t.Fatal(err)
			}
			link, err := netlink.LinkByIndex(dev.Index)
			if err != nil || link.Attrs().TxQLen != int(n) {
				t.Errorf("txqueuelen is %v (%v), want %d", link, err, n)
			}
		}
		var missing netlink.LinkNotFoundError
		if err := LinkTxQueueLen("nosuch0", 0, 5); !errors.As(err, &missing) {
			t.Errorf("no such device: %v", err)
		}
	})
}
