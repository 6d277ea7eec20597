package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "connect-filter-refuses",
	Limit: "connect-filters",
	Says: "an eBPF program of a cgroup refuses connect() of its processes with EPERM, root's " +
		"too, and not that of others; open connections go on, and nothing is left of it " +
		"when it is detached",
	Source:  "kernel/bpf/cgroup.c __cgroup_bpf_run_filter_sock_addr (4.17)",
	Unit:    "connections",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "a cgroup outlives the program that made it",
	Trial: func(b *Bench) Outcome {
		const each = 5
		w := b.Machine()
		server := w.Actor("server")
		_, at, err := server.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(
			"127.0.0.1:0"), Backlog: 128})
		b.Must(err)
		inside, outside := w.Actor("inside"), w.Actor("outside")
		group, err := w.Cgroup("maxconn-filter", nil, nil)
		if err != nil {
			b.CannotRun("no cgroup can be made: " + err.Error())
		}
		b.later(func() error { inside.Kill(); return group.Remove() })
		b.Must(group.Join(inside))
		before := connect(inside, at, each)
		detach, err := group.RefuseConnects()
		if err != nil {
			b.CannotRun("no program can be attached here: " + err.Error())
		}
		g := w.GaugeOf(w.Snapshot(), "connect-filters", "maxconn-filter")
		refused := connect(inside, at, each)
		o := Exactly(g.Ceiling, int64(refused.Count))
		o.Formula = "the program returns 0 and nothing else"
		o.Expect("EPERM from connect()", each, refused.Errors["EPERM"])
		o.Expect("check says that it refuses", true, g.Refusing)
		states, err := inside.States(before.Group)
		b.Must(err)
		o.Expect("connections that were open before", each, states["ESTABLISHED"])
		o.Without("connections before the program was attached", each, before.Count)
		o.Without("connections of a process of another cgroup", each,
			connect(outside, at, each).Count)
		b.Must(detach())
		o.Without("connections when it is detached", each, connect(inside, at, each).Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "datapath-table",
	Limit: "datapath-maps",
	Says: "a hash table of eBPF takes max_entries entries and refuses further ones with " +
		"E2BIG; one of least recent use takes all and throws out others",
	Source:  "kernel/bpf/hashtab.c alloc_htab_elem (E2BIG), htab_lru_map_update_elem (4.10)",
	Unit:    "entries",
	Takes:   time.Second,
	Busy:    Alone,
	Machine: "all of the host sees the tables of eBPF, and would take them for a datapath's",
	Trial: func(b *Bench) Outcome {
		const most, more = 100, 160 // little: RLIMIT_MEMLOCK, before 5.11
		w := b.Machine()
		table := func(name string, lru bool) lab.Table {
			t, err := w.Table(name, most, lru)
			if err != nil {
				b.CannotRun("no table can be made here: " + err.Error())
			}
			b.later(t.Close)
			return t
		}
		hash, lru := table("cali_v4_ct3", false), table("cilium_ct4_global", true)
		taken, refused := hash.Fill(0, more)
		all, none := lru.Fill(0, more)
		s := w.Snapshot()
		g := w.GaugeOf(s, "datapath-maps", "cali_v4_ct3")
		o := Exactly(g.Ceiling, int64(taken))
		o.Formula = "max_entries"
		o.Expect("errno of the next entry", "E2BIG", refused)
		o.Expect("entries that check counts", int64(most), g.Used)
		o.Expect("check says that it refuses", true, g.Refusing)
		kept := w.GaugeOf(s, "datapath-maps", "cilium_ct4_glob")
		o.Without("entries that a table of least recent use takes", more, all)
		o.Without("errno there", "", none)
		o.WithoutThat("entries that it keeps", "at most 100", kept.Used,
			kept.Used <= most && kept.Used > 0)
		o.Without("check says that it refuses", false, kept.Refusing)
		return o
	},
})
