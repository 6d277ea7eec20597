//go:build linux

package link

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// captured reads the payloads of one kind of message, one a line in hexadecimal.
func captured(t testing.TB, kind string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", kind+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		m, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// TestCapture writes the captures anew when LINK_CAPTURE is set.
func TestCapture(t *testing.T) {
	if os.Getenv("LINK_CAPTURE") == "" {
		t.Skip("LINK_CAPTURE=1 writes testdata anew")
	}
	nstest.Run(t, func() {
		build(t)
		setGRO(t, "right", true) // veth polls then, and has NAPI instances to show
		family, err := netlink.GenlFamilyGet(netdevFamily)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			kind    string
			socket  int
			request int
			header  nl.NetlinkRequestData
		}{
			{"link", unix.NETLINK_ROUTE, unix.RTM_GETLINK,
				nl.NewIfInfomsg(unix.AF_UNSPEC)},
			{"qdisc", unix.NETLINK_ROUTE, unix.RTM_GETQDISC, &nl.TcMsg{}},
			{"addr", unix.NETLINK_ROUTE, unix.RTM_GETADDR,
				nl.NewIfInfomsg(unix.AF_UNSPEC)},
			{"neigh", unix.NETLINK_ROUTE, unix.RTM_GETNEIGH,
				&netlink.Ndmsg{Family: unix.AF_INET}},
			{"napi", unix.NETLINK_GENERIC, int(family.ID),
				&nl.Genlmsg{Command: netdevCmdNAPIGet, Version: 1}},
		} {
			req := nl.NewNetlinkRequest(c.request, unix.NLM_F_DUMP)
			req.AddData(c.header)
			messages, err := req.Execute(c.socket, 0)
			if err != nil {
				t.Fatal(err)
			}
			write(t, c.kind, messages)
		}
	})
}

func write(t *testing.T, kind string, messages [][]byte) {
	t.Helper()
	var u unix.Utsname
	unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	var b strings.Builder
	fmt.Fprintf(&b,
		"# Payloads of %s messages from a namespace made by TestCapture, Linux %s %s.\n",
		kind, release, unix.ByteSliceToString(u.Machine[:]))
	for _, m := range messages {
		fmt.Fprintf(&b, "%x\n", m)
	}
	if err := os.WriteFile(filepath.Join("testdata", kind+".hex"), []byte(b.String()),
		0o644); err != nil {
		t.Fatal(err)
	}
}

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func byName(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	try(t, err)
	return l
}

// build gives the calling thread's namespace one device of several kinds, with
// the queueing disciplines that this kernel was built with: "left" and "right" are
// a pair, left is in bridge "br" and shapes with tbf, right with htb and pfifo.
func build(t testing.TB) {
	t.Helper()
	// No router solicitations: packet counts are exact.
	try(t, os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0))
	try(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0))
	try(t, os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("0"), 0))
	try(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "left", TxQLen: 77,
		MTU: 1400}, PeerName: "right"}))
	try(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}}))
	try(t, netlink.LinkSetMaster(byName(t, "left"), byName(t, "br")))
	for _, name := range []string{"lo", "left", "right"} {
		try(t, netlink.LinkSetUp(byName(t, name)))
	}
	left, right := byName(t, "left").Attrs().Index, byName(t, "right").Attrs().Index
	try(t, netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: left, Handle: netlink.MakeHandle(1, 0),
			Parent: netlink.HANDLE_ROOT},
		// bytes/s, bytes, and ticks of 64 ns: 2,147 bytes at once
		Rate: 1000, Limit: 3000, Buffer: 1 << 25,
	}))
	try(t, netlink.QdiscAdd(netlink.NewHtb(netlink.QdiscAttrs{
		LinkIndex: right, Handle: netlink.MakeHandle(2, 0), Parent: netlink.HANDLE_ROOT})))
	class := netlink.NewHtbClass(netlink.ClassAttrs{LinkIndex: right,
		Handle: netlink.MakeHandle(2, 1),
		Parent: netlink.MakeHandle(2, 0)}, netlink.HtbClassAttrs{Rate: 1 << 20})
	try(t, netlink.ClassAdd(class))
	try(t, netlink.QdiscAdd(&netlink.GenericQdisc{QdiscType: "pfifo",
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: right,
			Handle:    netlink.MakeHandle(3, 0),
			Parent:    netlink.MakeHandle(2, 1),
		}}))
	try(t, netlink.AddrAdd(byName(t, "right"),
		&netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 3, 2, 1),
			Mask: net.CIDRMask(24, 32)}}))
	for i, state := range []int{netlink.NUD_REACHABLE, netlink.NUD_PERMANENT,
		netlink.NUD_STALE} {
		try(t, netlink.NeighAdd(&netlink.Neigh{LinkIndex: right, State: state,
			IP:           net.IPv4(10, 3, 2, byte(10+i)),
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}}))
	}
}

// setGRO switches generic receive offload of a device, as ethtool -K does.
func setGRO(t testing.TB, name string, on bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	try(t, err)
	defer unix.Close(fd)
	value := &ethtoolValue{cmd: unix.ETHTOOL_SGRO}
	if on {
		value.data = 1
	}
	request := ifreqData{data: unsafe.Pointer(value)}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		t.Fatal(errno)
	}
}
