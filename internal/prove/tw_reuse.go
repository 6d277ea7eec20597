package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// reuse is one setting in which connect() may or may not take over a port from TIME_WAIT.
type reuse struct {
	mode, timestamps string
	addr             netip.Addr
	want             int // of ten ports, as the kernel's source says
}

func (r reuse) String() string {
	where := "between other addresses"
	if r.addr == loopback {
		where = "on 127.0.0.1"
	}
	return fmt.Sprintf("tcp_tw_reuse = %s, tcp_timestamps = %s, %s", r.mode, r.timestamps,
		where)
}

// reuses are the settings of tcp_twsk_unique (4.18-6.18), all three values and their conditions.
func reuses() []reuse {
	return []reuse{
		{"0", "1", ordinary, 0}, {"0", "1", loopback, 0},
		{"1", "1", ordinary, 10}, {"1", "0", ordinary, 0},
		{"2", "1", ordinary, 0}, {"2", "1", loopback, 10},
	}
}

var _ = register(Claim{
	ID:    "tw-reuse-modes",
	Limit: "time-wait",
	Says: "connect() takes a port over from TIME_WAIT where tcp_tw_reuse is 1, or 2 and an " +
		"address is in 127.0.0.0/8, and the old connection had timestamps; never otherwise",
	Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique, 79e9fed46038 (4.18)",
	Unit:   "ports taken over in six settings",
	Takes:  4 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		var fs []func()
		predicted, measured, counted := make([]int64, len(reuses())),
			make([]int64, len(reuses())), make([]int64, len(reuses()))
		for i, r := range reuses() {
			fs = append(fs, func() { predicted[i], measured[i], counted[i] = r.try(b) })
		}
		b.Together(fs...)
		o := Exactly(total(predicted), total(measured))
		o.Formula = "for each setting: usable ports - ports in use, less those in " +
			"TIME_WAIT that connect() may take over"
		for i, r := range reuses() {
			if measured[i] == predicted[i] && predicted[i] == 0 {
				o.Without(r.String(), 0, measured[i])
				continue
			}
			o.Expect(r.String(), r.want, measured[i])
			o.Expect("TcpExt.TWRecycled meanwhile", r.want, counted[i])
		}
		return o
	},
})

// try puts all ports into TIME_WAIT and says how many the model and connect() have for new
// connections, and how many the kernel counts as taken over.
func (r reuse) try(b *Bench) (predicted, measured, counted int64) {
	e := b.between(r.addr, "net.ipv4.ip_local_port_range=40000 40009",
		"net.ipv4.tcp_tw_reuse="+r.mode, "net.ipv4.tcp_timestamps="+r.timestamps)
	since := e.wait(10)
	b.Pause(2100 * time.Millisecond) // longer than the delay of every kernel
	g := e.Gauge("ephemeral-ports", " -> "+e.to.String())
	before := e.Counter("TcpExt.TWRecycled")
	measured = int64(connect(e.client, e.to, 20).Count)
	e.stillWaiting(since)
	return g.Ceiling - g.Used, measured, e.Counter("TcpExt.TWRecycled") - before
}

var _ = register(Claim{
	ID:    "tw-reuse-delay",
	Limit: "time-wait",
	Says: "with tcp_tw_reuse a port can be used again as soon as it has been in " +
		"TIME_WAIT for tcp_tw_reuse_delay, 1 s by default",
	Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique, ca6a6f93867a (6.14); before, whole " +
		"seconds are compared, so up to 1 s",
	Unit:  "ms",
	Takes: 5 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		exact := b.hasSysctl("net.ipv4.tcp_tw_reuse_delay")
		var standard, longer, off lab.Reopened
		var predicted, predictedLonger int64
		fs := []func(){
			func() { standard, predicted = reopened(b, 1) },
			func() { off, _ = reopened(b, 0) },
		}
		if exact {
			fs = append(fs, func() {
				longer, predictedLonger = reopened(b, 1,
					"net.ipv4.tcp_tw_reuse_delay=3000")
			})
		}
		b.Together(fs...)
		o := Between(0, float64(predicted), float64(standard.After.Milliseconds()))
		o.Predicted, o.Formula = float64(predicted),
			"the delay of the catalogue's rate gauge"
		if exact {
			o = Within(0.02, float64(predictedLonger),
				float64(longer.After.Milliseconds()))
			o.Formula = "net.ipv4.tcp_tw_reuse_delay = 3000"
			o.ExpectThat("ms with tcp_tw_reuse_delay as it is by default",
				fmt.Sprintf("%d, and 60 more at most", predicted),
				standard.After.Milliseconds(),
				standard.After.Milliseconds() >= predicted-2 &&
					standard.After.Milliseconds() <= predicted+60)
			o.ExpectThat("connect() until then", "EADDRNOTAVAIL", longer.Errors,
				longer.Errors["EADDRNOTAVAIL"] > 0)
		} else {
			o.High += float64(standard.Doubt.Milliseconds())
			o.Note = "this kernel compares whole seconds, so any time up to a " +
				"second may pass"
		}
		o.Expect("connection in the end", true, standard.Again)
		o.Without("a connection within 4 s with tcp_tw_reuse = 0", false, off.Again)
		return o
	},
})

// reopened closes a connection in a world with one port and opens it again, and what the
// model says of the delay in ms.
func reopened(b *Bench, mode int, settings ...string) (got lab.Reopened, delay int64) {
	settings = append(settings, "net.ipv4.ip_local_port_range=40000 40000",
		fmt.Sprintf("net.ipv4.tcp_tw_reuse=%d", mode))
	allowed := 200 * time.Millisecond // where whole seconds are compared
	if b.hasSysctl("net.ipv4.tcp_tw_reuse_delay") {
		allowed = 50 * time.Millisecond
	}
	var e ends
	b.Promptly(allowed, func() time.Duration {
		e = b.between(ordinary, settings...)
		got = must(e.client.Reopen(lab.ReopenSpec{
			Listen: netip.AddrPortFrom(ordinary, 8090),
			Every:  4 * time.Millisecond,
			Within: 4 * time.Second,
		}))
		if !got.Again {
			return 0
		}
		return got.Doubt // how well the delay is known
	})
	if mode == 0 {
		return got, 0
	}
	return got, stepOf(e.GaugeAt(e.Snapshot(), "time-wait", limit.AnyPeer), limit.ReuseDelay)
}

// hasSysctl says whether a namespace of this kernel has the setting.
func (b *Bench) hasSysctl(key string) bool {
	_, err := b.World().Value(key)
	return err == nil
}
