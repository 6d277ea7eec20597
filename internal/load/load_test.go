//go:build linux

package load

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
)

func TestParseSources(t *testing.T) {
	for _, c := range []struct {
		list, want string
		addresses  int64
	}{
		{"127.0.0.1", "127.0.0.1", 1},
		{"10.0.0.1-10.0.0.50", "10.0.0.1-10.0.0.50", 50},
		{" 10.0.0.1 , 10.0.0.3-10.0.0.4", "10.0.0.1 10.0.0.3-10.0.0.4", 3},
		{"10.0.0.0/24", "10.0.0.1-10.0.0.254", 254},
		{"10.0.0.77/24", "10.0.0.1-10.0.0.254", 254},
		{"10.0.0.8/31", "10.0.0.8-10.0.0.9", 2},
		{"127.0.0.0/8", "127.0.0.1-127.255.255.254", 1<<24 - 2},
		{"fd00::1-fd00::ff", "fd00::1-fd00::ff", 255},
		{"fd00::/120", "fd00::-fd00::ff", 256},
		{"::ffff:10.0.0.1", "10.0.0.1", 1},
	} {
		have, err := ParseSources(c.list)
		var words []string
		for _, r := range have {
			words = append(words, r.String())
		}
		if err != nil || strings.Join(words, " ") != c.want || Addresses(have) != c.addresses {
			t.Errorf("%q: %v, %d addresses, %v", c.list, have, Addresses(have), err)
		}
	}
	if lo, err := ParseSources("lo"); err != nil || !slices.Contains(lo, Range{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")}) {
		t.Errorf("lo: %v %v", lo, err)
	}
	for _, bad := range []string{"", ",", "10.0.0.1,", "10.0.0.256", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.1-", "10.0.0.0/33", "no-such-device", "0.0.0.0", "224.0.0.1", "fe80::1%lo"} {
		if have, err := ParseSources(bad); err == nil {
			t.Errorf("%q was read as %v", bad, have)
		}
	}
}

func FuzzParseSources(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "10.0.0.1-10.0.0.50,10.1.0.0/16", "fd00::/64", "::1-::ffff", "255.255.255.255/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ranges, err := ParseSources(list)
		if err != nil {
			return
		}
		for _, r := range ranges {
			if r.Last.Less(r.First) || r.First.Is4() != r.Last.Is4() {
				t.Errorf("%q: %v", list, r)
			}
			if n := r.size(); n < 1<<32 && r.at(n-1) != r.Last {
				t.Errorf("%q: the last of %v is %v", list, r, r.at(n-1))
			}
		}
	})
}

func FuzzParsePorts(f *testing.F) {
	f.Add("1024-65535")
	f.Add("80")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePorts(text)
		if err == nil && (p.First == 0 || p.Last < p.First) {
			t.Errorf("%q: %+v", text, p)
		}
		_, _ = parsePortList(text)
	})
}

// Every tuple is handed out once, whoever asks, and none of a port that is reserved.
func TestSpace(t *testing.T) {
	s := Spec{Mode: Hold, Threads: 3, Ports: Ports{First: 1000, Last: 1100, Without: []Ports{{First: 1010, Last: 1019}}}}
	var err error
	if s.Sources, err = ParseSources("127.0.0.1,127.0.1.1-127.0.1.3"); err != nil {
		t.Fatal(err)
	}
	sp := newSpace(s, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.1:81")})
	type tuple struct{ from, to netip.AddrPort }
	seen := map[tuple]bool{}
	cursors := []*cursor{{space: sp}, {space: sp}, {space: sp}}
	for len(cursors) > 0 {
		for i := 0; i < len(cursors); i++ {
			c := cursors[i]
			if !c.step() {
				cursors = slices.Delete(cursors, i, i+1)
				continue
			}
			k := tuple{c.from.AddrPort(), c.to.AddrPort()}
			if seen[k] || s.Ports.skips(k.from.Port()) {
				t.Fatalf("%v again, or reserved", k)
			}
			seen[k] = true
		}
	}
	if want := 91 * 4 * 2; len(seen) != want || s.Ports.count() != 91 {
		t.Errorf("%d tuples, want %d", len(seen), want)
	}
	// Shares of worker processes are disjoint, too.
	shared := map[tuple]bool{}
	for share := range uint64(4) {
		s.share, s.of = share, 4
		c := &cursor{space: newSpace(s, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("127.0.0.1:81")})}
		for c.step() {
			shared[tuple{c.from.AddrPort(), c.to.AddrPort()}] = true
		}
	}
	if !maps.Equal(seen, shared) {
		t.Errorf("shares have %d tuples, all have %d", len(shared), len(seen))
	}
}

func TestDescriptors(t *testing.T) {
	var d descriptors
	for _, fd := range []int{3, 64, 63, 200} {
		d.add(fd)
	}
	d.drop(63)
	d.drop(1000)
	var order []int
	d.each(func(fd int) { order = append(order, fd) })
	if !slices.Equal(order, []int{200, 64, 3}) || d.n != 3 || d.has(63) || !d.has(200) {
		t.Errorf("%v, %d", order, d.n)
	}
	if a, b := d.after(3), d.after(200); a != 64 || b != 3 {
		t.Errorf("after 3 comes %d, after 200 %d", a, b)
	}
}

func TestBadSpecs(t *testing.T) {
	to := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}
	for name, s := range map[string]Spec{
		"no target":         {Mode: Churn},
		"no mode":           {Mode: "what", Targets: to},
		"no number":         {Mode: Hold, Targets: to},
		"negative":          {Mode: Churn, Targets: to, Connections: -1},
		"a rate below zero": {Mode: Churn, Targets: to, Rate: -1},
		"way to close":      {Mode: Churn, Targets: to, Close: "slam"},
		"families":          {Mode: Churn, Targets: to, Sources: []Range{{netip.IPv6Loopback(), netip.IPv6Loopback()}}},
		"silent talk":       {Mode: Talk, Targets: to, Connections: 1},
		"no program":        {Mode: Churn, Targets: to, Processes: true},
		"threads":           {Mode: Churn, Targets: to, Threads: 1000},
	} {
		if r, err := Connect(t.Context(), s); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := Serve(t.Context(), ServeSpec{}); err == nil {
		t.Error("serve nowhere")
	}
}

func TestSeriesIsBounded(t *testing.T) {
	var all []Sample
	for i := range 100 {
		all = append(all, Sample{Seconds: float64(i + 1), Established: int64((i + 1) * 10), PerSecond: 10})
	}
	half := halved(all)
	if len(half) != 50 || half[49].Seconds != 100 || half[20].PerSecond != 10 || half[0].PerSecond != 10 {
		t.Errorf("%d: %+v ... %+v", len(half), half[0], half[len(half)-1])
	}
}

func TestLatency(t *testing.T) {
	l := newLatency()
	for i := range int64(1000) {
		l.record(i * int64(time.Millisecond))
	}
	l.record(int64(time.Hour))
	s := l.summed()
	near := func(a, b float64) bool { return a > 0.98*b && a < 1.02*b }
	if s.Seen != 1001 || !near(s.P50, 500e3) || !near(s.P99, 990e3) || !near(s.Max, 999e3) {
		t.Errorf("%+v", s)
	}
	var n int64
	for _, b := range s.Buckets {
		n += b.Count
	}
	if n != 1000 {
		t.Errorf("%d in buckets %+v", n, s.Buckets)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := newLatency()
	for i := range b.N {
		l.record(int64(i&0xfffff) + 20_000)
	}
}

// A run as a library: no signals, no command line, a series; every kernel socket is gone afterwards.
func TestPairAsLibrary(t *testing.T) {
	var samples int
	r, err := Pair(t.Context(), Spec{Mode: Churn, Duration: 200 * time.Millisecond, Threads: 1, Every: 20 * time.Millisecond, Progress: func(Sample) { samples++ }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Established == 0 || r.Established != r.Attempted || !r.GoalMet || samples == 0 || len(r.Series) <= samples-1 || r.CPU == nil || r.Connect.Seen != r.Established {
		t.Errorf("%+v", r)
	}
	r, err = Pair(t.Context(), Spec{Mode: Hold, Connections: 300, Threads: 2})
	if err != nil || r.Held != 300 || r.PeakOpen != 300 || !r.GoalMet {
		t.Errorf("%+v %v", r, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r, err = Pair(ended, Spec{Mode: Hold, Connections: 1 << 30})
	if err != nil || r.Stopped != "interrupted" || r.GoalMet {
		t.Errorf("%+v %v", r, err)
	}
}

// A memory floor that is met stops the opening and is named.
func TestMemoryGuard(t *testing.T) {
	r, err := Pair(t.Context(), Spec{Mode: Hold, Connections: 1 << 30, Rate: 1000, KeepFree: 1 << 50})
	if err != nil || r.Stopped != "memory" || r.BoundBy != "connection-memory" || r.GoalMet || r.Established > 5000 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestForms(t *testing.T) {
	r, err := Pair(t.Context(), Spec{Mode: Churn, Connections: 2000, Every: 10 * time.Millisecond, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.Failures = []Failure{{AtConnect, "ECONNREFUSED", 3, 0.5, 12}}
	r.SYNSteps = []SYNStep{{1, 1, 7}}
	var text, page, table, doc bytes.Buffer
	for _, w := range []struct {
		b     *bytes.Buffer
		write func(*bytes.Buffer) error
	}{
		{&text, func(b *bytes.Buffer) error { return Text(b, r) }}, {&page, func(b *bytes.Buffer) error { return HTML(b, r) }},
		{&table, func(b *bytes.Buffer) error { return CSV(b, r) }}, {&doc, func(b *bytes.Buffer) error { return JSON(b, r) }},
	} {
		if err := w.write(w.b); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"2,000 of 2,000 attempted", "3 at connect: ECONNREFUSED, the first after 0.5 s with 12 open", "7 connections after 1 s", "p99.9"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if !strings.Contains(page.String(), "<polyline") || !strings.Contains(page.String(), "<rect") || strings.Contains(page.String(), "ZgotmplZ") {
		t.Error(page.String())
	}
	if rows, err := csv.NewReader(&table).ReadAll(); err != nil || len(rows) != len(r.Series)+1 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	var back Report
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || back.Established != r.Established || back.Schema != "maxconn.load/1" {
		t.Errorf("%+v %v", back, err)
	}
	for _, key := range []string{`"attempted"`, `"established"`, `"peak_open"`, `"rate"`, `"errors"`, `"connect_us"`, `"p50"`, `"p99"`, `"max"`, `"bytes_per_connection"`, `"kernel"`, `"user"`, `"bound_by"`, `"goal_met"`} {
		if !bytes.Contains(doc.Bytes(), []byte(key)) {
			t.Errorf("no %s", key)
		}
	}
}

func TestForecast(t *testing.T) {
	s := Spec{Mode: Hold, Connections: 1_000_000, Targets: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7000")}, Ports: Ports{First: 40000, Last: 40999}, KeepFree: 1}
	var err error
	if s.Sources, err = ParseSources("127.0.0.1-127.0.0.5"); err != nil {
		t.Fatal(err)
	}
	f, err := Foresee(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	ports, ok := f.Of("ephemeral-ports")
	if low, bound := f.Tightest(6000); !ok || ports.Connections != 5000 || !bound || low.Limit != "ephemeral-ports" || f.Ends != 2 || f.Bytes != 2_000_000*BytesPerEnd {
		t.Errorf("%+v", f)
	}
	if _, bound := f.Tightest(5000); bound {
		t.Errorf("5000 do not fit: %+v", f)
	}
	s.OneTable = true
	if f, err = Foresee(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	files, ok := f.Of("process-files")
	if _, ports := f.Of("ephemeral-ports"); !ok || ports || files.Connections >= int64(fastsock.FileLimit())/2 {
		t.Errorf("%+v", f)
	}
}
