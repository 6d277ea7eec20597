package prove

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// closedEntry is the timeout that the trials give entries of closed connections, in seconds.
const closedEntry = 15

var _ = register(Claim{
	ID:    "conntrack-rate",
	Limit: "conntrack",
	Says: "a connection that is closed keeps its entry of the connection tracking table " +
		"for nf_conntrack_tcp_timeout_time_wait, so the table is a ceiling on " +
		"connections a second: its size / that time (120 s by default, 15 s here)",
	Source: "net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts; " +
		"net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc",
	Unit:  "connections/s",
	Takes: 17 * time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		const n = 30
		timeout := "net.netfilter.nf_conntrack_tcp_timeout_time_wait=" +
			strconv.Itoa(closedEntry)
		same := b.tracked(timeout)
		same.wait(1)
		g := same.rate()
		e := b.tracked(timeout)
		client, server := e.pairs(n)
		open := e.entries()
		must(e.client.Close(client, lab.CloseSpec{}))
		e.arrived(server, n)
		start := time.Now()
		must(e.server.Close(server, lab.CloseSpec{}))
		b.Await(time.Second, func() bool { return e.Sockstat("inuse") <= 1 })
		settled := time.Since(start)
		closed := e.entries()
		b.Settled()
		life := e.entryLife(start, settled)
		o := Within(0.02, float64(g.Ceiling),
			float64(e.tableSize())/life.Seconds()/float64(open)*n)
		o.Formula = Formula(g)
		o.Note = fmt.Sprintf(
			"measured: %d entries for %d connections, which went %.2f s after the "+
				"close; the table's size is the host's", open, n, life.Seconds())
		o.Expect("entries while the connections were open", n, open)
		o.Expect("entries after both sides had closed", n, closed)

		plain := b.between(ordinary)
		plain.pairs(n)
		if must(plain.Value("net.netfilter.nf_conntrack_count")) == "0" {
			o.Without("entries for as many connections where no rule needs tracking", 0,
				plain.entries())
		}
		return o
	},
})

// tracked is a world that tracks its connections. A kernel that cannot, or hides the table,
// ends the trial.
func (b *Bench) tracked(settings ...string) ends {
	e := b.between(ordinary, settings...)
	if err := e.Track(); err != nil && !e.tracksAnyway() {
		b.CannotRun(fmt.Sprintf(
			"connections cannot be tracked here: %v (load nf_tables and nft_ct, or "+
				"nf_conntrack with enable_hooks=1)", err))
	}
	return e
}

// tracksAnyway says whether the namespace tracks without a rule of ours (module parameter
// enable_hooks, 5.7).
func (e ends) tracksAnyway() bool {
	_, probe := e.listen(ordinary, 8079)
	connect(e.client, probe, 1)
	count, err := e.Value("net.netfilter.nf_conntrack_count")
	return err == nil && count != "0"
}

// entries counts the world's entries for the server's port. Listing them drops those whose
// time is over, which nf_conntrack_count still counts
// (net/netfilter/nf_conntrack_standalone.c ct_seq_show).
func (e ends) entries() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/nf_conntrack", e.PID()))
	if err != nil {
		e.b.CannotRun(fmt.Sprintf("the entries of the connection tracking table cannot be "+
			"listed here: %v", err))
	}
	return bytes.Count(text, fmt.Appendf(nil, " dport=%d ", e.to.Port()))
}

// entryLife waits until the entries are gone and says how long that took. Where the moments
// of the close and of the end are not known to 2 %, it ends the trial.
func (e ends) entryLife(start time.Time, settled time.Duration) time.Duration {
	e.b.Pause(closedEntry*time.Second - 300*time.Millisecond - time.Since(start))
	var there, gone time.Duration
	e.b.often(5*time.Millisecond, 3*time.Second, func() bool {
		before := time.Since(start)
		left := e.entries()
		gone = time.Since(start)
		if left > 0 {
			there = before
		}
		return left == 0
	})
	if unsure, allowed := settled+gone-there,
		closedEntry*20*time.Millisecond; unsure > allowed {
		e.b.NotQuiet("the time of an entry is not known better than to %v; %v are allowed",
			unsure.Round(time.Millisecond), allowed)
	}
	return gone
}

// rate is the model's ceiling on connections a second.
func (e ends) rate() limit.Gauge {
	gauges, r := e.b.model("conntrack").Evaluate(e.Snapshot(), limit.Workload{})
	e.b.Must(r.Err())
	for _, g := range gauges {
		if g.Measure == limit.PerSecond && !g.Unbounded {
			return g
		}
	}
	panic(abort{fmt.Errorf("conntrack gives no rate, but %s", names(gauges))})
}

var _ = register(Claim{
	ID:    "conntrack-full",
	Limit: "conntrack",
	Says: "when a network namespace has nf_conntrack_max entries, the first packet of each " +
		"new connection is dropped without a word: connect() waits and no connection " +
		"comes about, while those that exist go on",
	Source: "net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc, early_drop",
	Unit:   "connections",
	Takes:  6 * time.Second,
	Busy:   Alone,
	Machine: "nf_conntrack_max is one value for the host, read-only in other network " +
		"namespaces",
	Trial: func(b *Bench) Outcome {
		const allowed, wanted = 60, 80
		machine := b.Machine()
		before := machine.tableSize()
		machine.SetUntilDone("net.netfilter.nf_conntrack_max", strconv.Itoa(allowed))
		e := b.tracked()
		made := must(e.client.Connect(lab.ConnectSpec{To: e.to, N: wanted,
			Within: 3 * time.Second}))
		g := e.GaugeAt(e.Snapshot(), "conntrack", limit.Netns)
		o := Exactly(g.Ceiling, int64(made.Count))
		o.Formula = "net.netfilter.nf_conntrack_max = 60, one entry for each connection"
		o.ExpectThat("connect() beyond it", "EINPROGRESS: no answer until the time is over",
			made.Errors, made.Errors["EINPROGRESS"] > 0 && len(made.Errors) == 1)
		o.Expect("check sees the table full", true, g.Refusing)
		o.Expect("connections that exist and go on", allowed,
			must(e.client.States(made.Group))["ESTABLISHED"])

		machine.SetUntilDone("net.netfilter.nf_conntrack_max",
			strconv.FormatInt(before, 10))
		c := b.tracked()
		o.Without("connections with nf_conntrack_max as it was", wanted,
			connect(c.client, c.to, wanted).Count)
		return o
	},
})

func (w World) tableSize() int64 {
	value, err := w.Value("net.netfilter.nf_conntrack_max")
	if err != nil {
		w.b.CannotRun("nf_conntrack is not loaded")
	}
	return must(strconv.ParseInt(strings.TrimSpace(value), 10, 64))
}
