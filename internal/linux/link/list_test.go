//go:build linux

package link

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func list(t *testing.T, sys string) map[string]Device {
	t.Helper()
	r, err := List(sys)
	try(t, err)
	if len(r.Missing) > 0 {
		t.Logf("missing: %v", r.Missing)
	}
	out := map[string]Device{}
	for _, d := range r.Devices {
		out[d.Name] = d
	}
	return out
}

// The own namespace, whatever it is: no privilege is needed.
func TestListOwn(t *testing.T) {
	r, err := List("/sys")
	try(t, err)
	for _, d := range r.Devices {
		if d.Kind == "loopback" && d.Up {
			if d.Backlog.Path != PathShared || len(d.Addresses) == 0 ||
				d.Neighbours == nil {
				t.Errorf("lo is %+v", d)
			}
			return
		}
	}
	t.Skip("there is no loopback device that is up")
}

func TestListMissingNothing(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		d := list(t, t.TempDir())
		right := d["right"]
		if len(right.Qdiscs) != 2 || right.Qdiscs[0].Kind != "htb" ||
			right.Qdiscs[1].Kind != "pfifo" {
			t.Errorf("qdiscs of right are %+v", right.Qdiscs)
		}
		if right.RootQdisc != "htb" || len(right.Addresses) != 1 ||
			right.Neighbours.V4.Entries != 3 {
			t.Errorf("right is %+v", right)
		}
		if br := d["br"]; br.Qdiscs == nil || br.Addresses == nil || br.Neighbours == nil ||
			br.Backlog.Path != PathUnknown {
			t.Errorf("br is %+v", br)
		}
	})
}

// Every packet given to a discipline was sent, dropped, or waits.
func TestQdiscDropsAreCounted(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		const n, size = 50, 1000
		before := total(t)
		sendFrames(t, byName(t, "left").Attrs().Index, n, size)
		q := list(t, t.TempDir())["left"].Qdiscs[0]
		if q.Kind != "tbf" || q.Limit == nil || *q.Limit != (Limit{3000, "bytes"}) {
			t.Fatalf("root of left is %+v", q)
		}
		if got := total(t) - before; got != n {
			t.Errorf("sent, dropped and waiting are %d of %d: %+v", got, n, *q.Stats)
		}
		if q.Stats.Drops == 0 || q.Stats.Queued == 0 || q.Stats.Backlog < size ||
			q.Stats.Overlimits == 0 {
			t.Errorf("statistics are %+v", *q.Stats)
		}
	})
}

func total(t *testing.T) int {
	s := list(t, t.TempDir())["left"].Qdiscs[0].Stats
	return int(s.Packets) + int(s.Drops) + int(s.Queued)
}

func sendFrames(t *testing.T, index, n, size int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	try(t, err)
	defer unix.Close(fd)
	frame := make([]byte, size)
	frame[12], frame[13] = 0x88, 0xb5 // local experimental (IEEE 802)
	for range n {
		err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index})
		if err != nil && err != unix.ENOBUFS { // ENOBUFS is a drop told to the sender
			t.Fatal(err)
		}
	}
}

func TestVethBacklog(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		sys := fakeSys(t, list(t, t.TempDir()), "0")
		if b := list(t, sys)["right"].Backlog; b.Path != PathShared {
			t.Errorf("veth: %+v", b)
		}
		setGRO(t, "right", true)
		if b := list(t, sys)["right"].Backlog; b.Path != PathSome {
			t.Errorf("veth with GRO: %+v", b)
		}
	})
}

func TestVethWithXDP(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		sys := fakeSys(t, list(t, t.TempDir()), "0")
		attachXDP(t, "right")
		if d := list(t, sys)["right"]; !d.XDP || d.Backlog.Path != PathNone {
			t.Errorf("veth with XDP: %v, %+v", d.XDP, d.Backlog)
		}
		if b := list(t, fakeSys(t, list(t, t.TempDir()),
			"00000000,00000002"))["right"].Backlog; b.Path != PathShared {
			t.Errorf("veth with XDP and RPS: %+v", b)
		}
	})
}

// attachXDP loads the program "return XDP_PASS" and attaches it; it is gone with
// the device.
func attachXDP(t *testing.T, name string) {
	t.Helper()
	fd, err := loadXDP()
	if err != nil {
		t.Skipf("cannot load an XDP program: %v", err)
	}
	defer unix.Close(fd)
	try(t, netlink.LinkSetXdpFd(byName(t, name), fd))
}

// fakeSys is a sysfs that shows devices with one receive queue each.
func fakeSys(t *testing.T, devices map[string]Device, mask string) string {
	t.Helper()
	root := t.TempDir()
	try(t, os.MkdirAll(filepath.Join(root, "class/net"), 0o755))
	for name, d := range devices {
		queue := filepath.Join(root, "devices", name, "queues/rx-0")
		try(t, os.MkdirAll(queue, 0o755))
		try(t, os.WriteFile(filepath.Join(queue, "rps_cpus"), []byte(mask+"\n"), 0o644))
		for file, text := range map[string]string{"ifindex": itoa(d.Index),
			"address": d.Hardware} {
			try(t, os.WriteFile(filepath.Join(root, "devices", name, file),
				[]byte(text+"\n"), 0o644))
		}
		try(t, os.Symlink(filepath.Join(root, "devices", name),
			filepath.Join(root, "class/net", name)))
	}
	try(t, os.WriteFile(filepath.Join(root, "class/net/bonding_masters"), nil, 0o644))
	return root
}

func TestSteering(t *testing.T) {
	devices := []Device{
		{Index: 1, Name: "lo", Hardware: "00:00:00:00:00:00"},
		{Index: 2, Name: "eth0", Hardware: "02:00:00:00:00:01"},
	}
	shown := map[string]Device{"lo": devices[0], "eth0": devices[1]}
	on := func(s steering) string {
		switch answer := s.on(devices[1]); {
		case answer == nil:
			return "unknown"
		case *answer:
			return "on"
		}
		return "off"
	}
	other := map[string]Device{"lo": devices[0],
		"eth0": {Index: 2, Hardware: "02:00:00:00:00:99"}}
	for _, c := range []struct{ what, sys, want string }{
		{"no CPU", fakeSys(t, shown, "00000000,00000000"), "off"},
		{"one CPU", fakeSys(t, shown, "00000000,00000001"), "on"},
		{"another namespace", fakeSys(t, map[string]Device{"lo": devices[0]}, "1"),
			"unknown"},
		{"another eth0", fakeSys(t, other, "1"), "unknown"},
		{"no sysfs", filepath.Join(t.TempDir(), "none"), "unknown"},
	} {
		if got := on(newSteering(c.sys, devices)); got != c.want {
			t.Errorf("%s: steering is %s, want %s", c.what, got, c.want)
		}
	}
}

// A sysfs mounted in the namespace shows its devices; the host's is not believed.
func TestSteeringFromSysfs(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		if b := list(t, "/sys")["br"].Backlog; b.Path != PathUnknown {
			t.Errorf("with another namespace's sysfs: %+v", b)
		}
		sys := t.TempDir()
		// ends with the thread, as the namespace does
		try(t, unix.Unshare(unix.CLONE_NEWNS))
		try(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		if err := unix.Mount("sysfs", sys, "sysfs", 0, ""); err != nil {
			t.Skipf("cannot mount sysfs: %v", err)
		}
		if b := list(t, sys)["br"].Backlog; b.Path != PathNone {
			t.Errorf("without steering: %+v", b)
		}
		mask := filepath.Join(sys, "class/net/br/queues/rx-0/rps_cpus")
		if err := os.WriteFile(mask, []byte("1"), 0); errors.Is(err, os.ErrPermission) {
			t.Skipf("steering is for root of the first user namespace: %v", err)
		}
		if b := list(t, sys)["br"].Backlog; b.Path != PathShared {
			t.Errorf("with steering: %+v", b)
		}
	})
}

func TestClassify(t *testing.T) {
	yes, no, two, zero := true, false, 2, 0
	on, off := func() *bool { return &yes }, func() *bool { return &no }
	unread := func() *bool { return nil }
	for _, c := range []struct {
		s    signs
		want Path
	}{
		{signs{kind: "loopback", rps: unread}, PathShared},
		{signs{kind: "veth", rps: off}, PathUnknown},
		{signs{kind: "veth", gro: &no, rps: off}, PathShared},
		{signs{kind: "veth", gro: &no, rps: unread}, PathShared},
		{signs{kind: "veth", gro: &yes, rps: unread}, PathUnknown},
		{signs{kind: "vxlan", rps: unread}, PathCells},
		{signs{kind: "vxlan", rps: on}, PathShared},
		{signs{kind: "bridge", rps: off}, PathNone},
		{signs{kind: "macvlan", rps: off}, PathSome},
		{signs{up: true, napi: &two, rps: off}, PathNone},
		{signs{up: true, napi: &two, rps: on}, PathShared},
		{signs{up: true, napi: &two, rps: unread}, PathUnknown},
		{signs{up: true, napi: &zero, rps: off}, PathUnknown},
		{signs{napi: &zero, rps: off}, PathUnknown},
		{signs{up: true, rps: off}, PathUnknown},
	} {
		if got := classify(c.s); got.Path != c.want || got.Why == "" {
			t.Errorf("classify(%s, napi %v) = %+v, want %s", c.s.kind, c.s.napi, got,
				c.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := &Error{Op: "dump", Subject: "qdiscs", Err: unix.EOPNOTSUPP}
	if !strings.HasPrefix(err.Error(), "dump qdiscs: ") {
		t.Errorf("error reads %q", err)
	}
}
