//go:build linux

package link

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attr builds one attribute.
func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func num(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func TestParseCapturedLinks(t *testing.T) {
	type essence struct {
		kind, qdisc string
		mtu, txq    int
		up          bool
	}
	got := map[string]essence{}
	index := map[string]int{}
	var left Device
	for _, m := range captured(t, "link") {
		d, err := parseLink(m)
		if err != nil {
			t.Fatal(err)
		}
		got[d.Name] = essence{d.Kind, d.RootQdisc, d.MTU, d.TxQueueLen, d.Up}
		index[d.Name] = d.Index
		if d.Name == "left" {
			left = d
		}
	}
	want := map[string]essence{
		"lo":    {"loopback", "noqueue", 65536, 1000, true},
		"left":  {"veth", "tbf", 1400, 77, true},
		"right": {"veth", "htb", 1400, 1000, true},
		"br":    {"bridge", "noop", 1400, 0, false},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("links are\n%+v, want\n%+v", got, want)
	}
	if left.Master != index["br"] || len(left.Hardware) != 17 || left.XDP {
		t.Errorf("left is %+v", left)
	}
}

func TestParseCapturedQdiscs(t *testing.T) {
	limits := map[string]*Limit{}
	for _, m := range captured(t, "qdisc") {
		_, q, err := parseQdisc(m)
		if err != nil {
			t.Fatal(err)
		}
		limits[q.Kind] = q.Limit
		if q.Stats == nil {
			t.Errorf("%s has no statistics", q.Kind)
		}
		if q.Root() != (q.Kind != "pfifo") {
			t.Errorf("%s hangs under %s", q.Kind, HandleString(q.Parent))
		}
	}
	want := map[string]*Limit{
		"noqueue": nil, "tbf": {3000, "bytes"}, "htb": {1000, "packets"},
		"pfifo": {1000, "packets"},
	}
	if !reflect.DeepEqual(limits, want) {
		t.Errorf("limits are %v, want %v", limits, want)
	}
}

func TestParseCapturedAddresses(t *testing.T) {
	got := map[netip.Prefix]bool{}
	for _, m := range captured(t, "addr") {
		_, a, err := parseAddress(m)
		if err != nil {
			t.Fatal(err)
		}
		got[a.Prefix] = a.Usable()
	}
	want := map[netip.Prefix]bool{
		netip.MustParsePrefix("127.0.0.1/8"): true, netip.MustParsePrefix("::1/128"): true,
		netip.MustParsePrefix("10.3.2.1/24"): true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("addresses are %v, want %v", got, want)
	}
}

func TestParseCapturedNeighbours(t *testing.T) {
	var n Neighbours
	for _, m := range captured(t, "neigh") {
		e, err := parseNeighbour(m)
		if err != nil {
			t.Fatal(err)
		}
		n.add(e)
	}
	if n.V4 != (NeighbourCount{Entries: 3, Exempt: 1}) || n.V6 != (NeighbourCount{}) {
		t.Errorf("neighbours are %+v", n)
	}
}

func TestNeighbourStates(t *testing.T) {
	var c NeighbourCount
	for _, e := range []neighbour{
		{state: unix.NUD_FAILED}, {state: unix.NUD_INCOMPLETE},
		{state: unix.NUD_REACHABLE, flags: unix.NTF_EXT_LEARNED},
		{state: unix.NUD_PERMANENT}, {state: unix.NUD_NOARP},
	} {
		c.add(e)
	}
	if want := (NeighbourCount{Entries: 5, Exempt: 2, Failed: 1, Incomplete: 1}); c != want {
		t.Errorf("count is %+v, want %+v", c, want)
	}
}

func TestParseCapturedNAPI(t *testing.T) {
	found := map[int]int{}
	for _, m := range captured(t, "napi") {
		index, own, err := parseNAPI(m)
		if err != nil || !own {
			t.Fatalf("napi of %d: own %v, %v", index, own, err)
		}
		found[index]++
	}
	if len(found) != 1 {
		t.Errorf("NAPI instances by device are %v, want those of one veth", found)
	}
	// gro_cells instances have no number (net/core/gro_cells.c NAPI_STATE_NO_BUSY_POLL).
	if _, own, err := parseNAPI(join(num(0), attr(netdevNAPIIndex, num(3)...))); own ||
		err != nil {
		t.Errorf("an instance without a number is the driver's: %v, %v", own, err)
	}
}

// Disciplines that few kernels have all of: structures as in
// include/uapi/linux/pkt_sched.h.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		kind    string
		options []byte
		want    *Limit
	}{
		{"pfifo", num(50), &Limit{50, "packets"}},
		{"bfifo", num(9000), &Limit{9000, "bytes"}},
		{"netem", num(0, 1000, 0, 0, 0, 0), &Limit{1000, "packets"}},
		{"sfq", num(1514, 10, 127, 1024, 128), &Limit{127, "packets"}},
		{"tbf", attr(1, num(1, 2, 3, 4, 5, 6, 3000, 8, 9)...), &Limit{3000, "bytes"}},
		{"fq_codel", join(attr(1, num(4999)...), attr(2, num(10240)...)),
			&Limit{10240, "packets"}},
		{"fq", join(attr(1, num(10000)...), attr(2, num(100)...)),
			&Limit{10000, "packets"}},
		{"htb", join(attr(2, num(0, 0, 0, 0, 0)...), attr(5, num(1000)...)),
			&Limit{1000, "packets"}},
		{"red", attr(1, num(60000, 1, 2)...), &Limit{60000, "bytes"}},
		{"pfifo_fast", num(3, 0, 0, 0, 0), nil},
		{"mq", nil, nil},
		{"pfifo", nil, nil},
		{"pfifo", []byte{1}, nil},
		{"tbf", attr(1, num(1, 2)...), nil},
		{"fq", []byte{0, 0, 0, 0}, nil},
	} {
		if got := limitOf(c.kind, c.options); !reflect.DeepEqual(got, c.want) {
			t.Errorf("limit of %s % x is %v, want %v", c.kind, c.options, got, c.want)
		}
	}
}

func qdiscMessage(parent uint32, attrs ...[]byte) []byte {
	return join(append([][]byte{num(0, 4, 0x80010000, parent, 0)}, attrs...)...)
}

func TestQdiscStats(t *testing.T) {
	basic := append(binary.NativeEndian.AppendUint64(nil, 1<<40), num(7, 0)...)
	m := qdiscMessage(tcHRoot, attr(tcaKind, []byte("fq\x00")...), attr(tcaStats2, join(
		attr(tcaStatsBasic, basic...),
		attr(tcaStatsPkt64, binary.NativeEndian.AppendUint64(nil, 1<<33+7)...),
		attr(tcaStatsQueue, num(1, 2, 3, 4, 5)...))...))
	index, q, err := parseQdisc(m)
	want := QdiscStats{
		Bytes:      1 << 40,
		Packets:    1<<33 + 7,
		Queued:     1,
		Backlog:    2,
		Drops:      3,
		Requeues:   4,
		Overlimits: 5,
	}
	if err != nil || index != 4 || q.Stats == nil || *q.Stats != want || !q.Root() ||
		q.Limit != nil {
		t.Errorf("qdisc of %d is %+v, %+v, %v", index, q, q.Stats, err)
	}
	_, q, err = parseQdisc(qdiscMessage(tcHRoot, attr(tcaKind, 'f', 'q', 0)))
	if err != nil || q.Stats != nil {
		t.Errorf("without statistics there are %+v, %v", q.Stats, err)
	}
	if _, _, err := parseQdisc(qdiscMessage(tcHRoot)); err == nil {
		t.Error("a discipline without a kind was taken")
	}
}

func TestHandles(t *testing.T) {
	for h, want := range map[uint32]string{tcHRoot: "root", 0x80010000: "8001:",
		0x10010: "1:10", 0: "0:"} {
		if got := HandleString(h); got != want {
			t.Errorf("handle %#x is %s, want %s", h, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	link := captured(t, "link")[0]
	for what, m := range map[string][]byte{
		"nothing":       nil,
		"a header":      link[:unix.SizeofIfInfomsg],
		"cut attribute": join(link, num(100)),
		"length 0":      join(link[:unix.SizeofIfInfomsg], num(0)),
		"short stats": join(link[:unix.SizeofIfInfomsg],
			attr(unix.IFLA_STATS64, num(1, 2)...)),
	} {
		if d, err := parseLink(m); err == nil {
			t.Errorf("%s gave %+v", what, d)
		}
	}
	if _, _, err := parseAddress(join([]byte{unix.AF_INET, 33, 0, 0}, num(1),
		attr(unix.IFA_ADDRESS, 10, 0, 0, 1))); err == nil {
		t.Error("a prefix of 33 bits was taken")
	}
	if _, _, err := parseAddress(join([]byte{unix.AF_INET, 8, 0, 0}, num(1))); err == nil {
		t.Error("an address message without an address was taken")
	}
}

func TestAddressFlags(t *testing.T) {
	message := func(flags uint32) []byte {
		return join([]byte{unix.AF_INET6, 64, 0, unix.RT_SCOPE_LINK}, num(2),
			attr(unix.IFA_ADDRESS, make([]byte, 16)...),
			attr(unix.IFA_FLAGS, num(flags)...))
	}
	for flags, usable := range map[uint32]bool{
		0: true, unix.IFA_F_TENTATIVE: false,
		unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC: true,
		unix.IFA_F_DADFAILED:                         false, unix.IFA_F_DEPRECATED: true,
	} {
		index, a, err := parseAddress(message(flags))
		if err != nil || index != 2 || a.Usable() != usable {
			t.Errorf("flags %#x: %+v, %v", flags, a, err)
		}
	}
}

func seed(f *testing.F, kind string) {
	for _, m := range captured(f, kind) {
		f.Add(m)
	}
}

func FuzzLink(f *testing.F) {
	seed(f, "link")
	f.Fuzz(func(t *testing.T, m []byte) {
		if d, err := parseLink(m); err != nil && !reflect.DeepEqual(d, Device{}) {
			t.Errorf("an error and half a device: %+v, %v", d, err)
		}
	})
}

func FuzzQdisc(f *testing.F) {
	seed(f, "qdisc")
	f.Fuzz(func(t *testing.T, m []byte) {
		if _, q, err := parseQdisc(m); err == nil && q.Kind == "" {
			t.Errorf("no kind: %+v", q)
		}
	})
}

func FuzzAddress(f *testing.F) {
	seed(f, "addr")
	f.Fuzz(func(t *testing.T, m []byte) {
		if _, a, err := parseAddress(m); err == nil &&
			!a.Prefix.IsValid() {
			t.Errorf("address is %+v", a)
		}
	})
}

func FuzzNeighbour(f *testing.F) {
	seed(f, "neigh")
	f.Fuzz(func(_ *testing.T, m []byte) { parseNeighbour(m) })
}

func FuzzNAPI(f *testing.F) {
	seed(f, "napi")
	f.Fuzz(func(_ *testing.T, m []byte) { parseNAPI(m) })
}

func FuzzMask(f *testing.F) {
	f.Add("00000000,00000003\n")
	f.Add("0\n")
	f.Fuzz(func(t *testing.T, mask string) {
		if maskSet(mask) && strings.Trim(mask, "0,") == "" {
			t.Errorf("mask %q has a bit set", mask)
		}
	})
}
