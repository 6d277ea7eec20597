package procfs_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// TestParseSoftnet reads every width that kernels have printed. The columns
// that one lacks are missing.
func TestParseSoftnet(t *testing.T) {
	all := []procfs.SoftnetColumn{
		procfs.SoftnetProcessed, procfs.SoftnetDropped, procfs.SoftnetSqueezed,
		procfs.SoftnetReceivedRPS,
		procfs.SoftnetFlowLimit, procfs.SoftnetBacklog, procfs.SoftnetCPU,
		procfs.SoftnetInputQueue, procfs.SoftnetProcessQueue,
	}
	for file, want := range map[string][]uint64{ // of the last row, as many as it has
		"rhel5": {0x6dcad223, 0, 1},
		"3.10":  {0x29620, 0, 2, 0},
		"rhel6": {0x40ee, 0xee, 0xf003eca7, 1},
		"rhel8": {0x22be3, 0xfe, 0x12, 2, 1},
		"rhel9": {0x2600138, 0x4bc7, 0, 0x2328493, 0, 0xa, 2},
		"6.18":  {0xa4657, 0, 3, 0, 0, 0, 1, 0, 0},
	} {
		rows, err := procfs.ParseSoftnet(capture(t, "softnet", file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var got []uint64
		for i, column := range all {
			n, ok := rows[len(rows)-1].Column(column)
			if ok {
				got = append(got, n)
			}
			if ok != (i < len(want)) {
				t.Errorf("%s: column %d present: %v", file, column, ok)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestParseTable(t *testing.T) {
	for _, c := range []struct {
		file, column string
		want         uint64
		ok           bool
	}{
		{"nf_conntrack-4.x", "entries", 0x21, true}, // once, not four times
		{"nf_conntrack-4.x", "invalid", 3 + 2 + 1 + 0x2f, true},
		{"nf_conntrack-4.x", "search_restart", 7, true},
		{"nf_conntrack-4.x", "early_drop", 0, true},
		{"nf_conntrack-4.x", "clashres", 0, false},
		{"nf_conntrack-6.18", "clashres", 0, true},
		{"nf_conntrack-6.18", "searched", 0, false},
		{"arp_cache-4.x", "entries", 0x14, true},
		{"arp_cache-4.x", "table_fulls", 0x0c + 0x18, true},
		{"arp_cache-6.18", "entries", 6, true},
		{"arp_cache-6.18", "lookups", 0x14 + 0x28, true},
		{"ndisc_cache-6.18", "res_failed", 1, true},
	} {
		table, err := procfs.ParseTable(capture(t, "table", c.file))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got, ok := table.Total(c.column); got != c.want || ok != c.ok {
			t.Errorf("%s %s: got %d %v, want %d %v", c.file, c.column, got, ok, c.want,
				c.ok)
		}
	}
}

func TestTableTotalStopsAtTheLargestNumber(t *testing.T) {
	table, err := procfs.ParseTable([]byte("drop\nffffffffffffffff\n00000002\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := table.Total("drop"); got != math.MaxUint64 || !ok {
		t.Errorf("got %d %v", got, ok)
	}
	if got, ok := new(procfs.Table).Total("drop"); ok {
		t.Errorf("an empty table has %d", got)
	}
}

func TestParseSlabinfo(t *testing.T) {
	slabs, err := procfs.ParseSlabinfo(capture(t, "slabinfo", "6.18"))
	if err != nil {
		t.Fatal(err)
	}
	want := procfs.Slab{Name: "TCP", ActiveObjects: 60457, Objects: 60502, ObjectSize: 2368}
	if got, ok := slabs.Cache("TCP"); got != want || !ok {
		t.Errorf("got %+v %v, want %+v", got, ok, want)
	}
	if got, ok := slabs.Cache("eventpoll_pwq"); ok {
		t.Errorf("a merged cache is %+v, want none", got)
	}
	old, err := procfs.ParseSlabinfo(capture(t, "slabinfo", "3.10"))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := old.Cache("fsnotify_mark_connector"); !ok || got.ObjectSize != 24 {
		t.Errorf("a name that fills its column: %+v %v", got, ok)
	}
	if got, ok := old.Cache("nf_conntrack"); ok {
		t.Errorf("nf_conntrack is %+v, want none", got)
	}
}

func TestSlabinfoNamesWithSpaces(t *testing.T) {
	head := string(capture(t, "slabinfo", "6.18"))
	head = head[:len("slabinfo - version: 2.1\n")]
	const rest = "# name            <active_objs> <num_objs> <objsize> <objperslab> " +
		"<pagesperslab> : tunables\nthe cache 1 2 3 4 5 : tunables 0\n"
	slabs, err := procfs.ParseSlabinfo([]byte(head + rest))
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := slabs.Cache("the cache"); !ok || got.ObjectSize != 3 {
		t.Errorf("got %+v %v", got, ok)
	}
}

func TestParseMeminfo(t *testing.T) {
	memory, err := procfs.ParseMeminfo(capture(t, "host", "meminfo-6.18"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{
		"MemTotal": 24684092, "MemAvailable": 24013996, "Active(anon)": 1616,
		"HugePages_Total": 0,
		"VmallocTotal":    34359738367, "Hugepagesize": 2048,
	} {
		if got, ok := memory[name]; got != want || !ok {
			t.Errorf("%s: got %d %v, want %d", name, got, ok, want)
		}
	}
	if _, ok := memory["LowTotal"]; ok {
		t.Error("a name that the kernel does not print is there")
	}
}

func TestParseSystemStat(t *testing.T) {
	got, err := procfs.ParseSystemStat(capture(t, "host", "stat-6.18"))
	want := procfs.SystemStat{BootTime: 1795355596, CPUs: 2}
	if got != want || err != nil {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}

func TestParseLoadavg(t *testing.T) {
	got, err := procfs.ParseLoadavg(capture(t, "host", "loadavg-6.18"))
	want := procfs.Loadavg{Running: 1, Threads: 138}
	if got != want || err != nil {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}

func TestParseProtocols(t *testing.T) {
	for _, c := range []struct {
		file string
		want procfs.Protocol
	}{
		{"protocols-6.18", procfs.Protocol{Name: "TCP", Size: 2304, Sockets: 1,
			Memory: 5356, HasMemory: true, Pressure: "no"}},
		{"protocols-6.18", procfs.Protocol{Name: "TCPv6", Size: 2432, Memory: 5356,
			HasMemory: true, Pressure: "no"}},
		{"protocols-6.18", procfs.Protocol{Name: "UNIX-STREAM", Size: 1152, Sockets: 2,
			Pressure: "NI"}},
		{"protocols-4.x", procfs.Protocol{
			Name:      "TCP",
			Size:      1984,
			Sockets:   93064,
			Memory:    1225378,
			HasMemory: true,
			Pressure:  "yes",
		}},
	} {
		all, err := procfs.ParseProtocols(capture(t, "host", c.file))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got, ok := all.Named(c.want.Name); got != c.want || !ok {
			t.Errorf("%s: got %+v %v, want %+v", c.file, got, ok, c.want)
		}
		if got, ok := all.Named("SCTP"); ok {
			t.Errorf("%s: SCTP is %+v, want none", c.file, got)
		}
	}
}

func TestRouteStats(t *testing.T) {
	for text, want := range map[string]uint64{
		"0009 0006 000a 0007 0000 0000 0000\n":      0, // Linux 6.18
		"0134 00c2 0ee1 01b6 0080 1001 0000\n":      4097,
		"0134 00c2 12ee1 01b6 0080 ffffffff 0000\n": 1<<32 - 1,
	} {
		n, err := procfs.ParseRouteStats([]byte(text))
		if err != nil || n != want {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "\n", "1 2 3\n", "0009 0006 000a 0007 0000 -001 0000\n",
		"0009 0006 000a 0007 0000 x 0000\n", "0009 0006 000a 0007 0000 0000 0000"} {
		if n, err := procfs.ParseRouteStats([]byte(text)); err == nil {
			t.Errorf("%q: %d", text, n)
		}
	}
}
