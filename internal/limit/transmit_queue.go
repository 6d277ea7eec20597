package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const TransmitQueue ID = "transmit-queue"

var _ = register(Limit{
	ID:      TransmitQueue,
	Title:   "packets that wait to be sent by a device",
	Measure: Burst,
	Scope:   Netns,
	Doc: "A packet to be sent waits in the queueing discipline (qdisc) of its device. " +
		"`txqueuelen` is the length of that queue only with pfifo_fast, with pfifo and " +
		"bfifo that were made without a limit, in the direct queue of htb, with sfb, " +
		"gred, teql and plug, and in the ring of tun and tap devices. " +
		"fq, fq_codel and others have limits of their own; mq only holds one qdisc for " +
		"each hardware queue; loopback, veth and bridges have no queue at all. " +
		"The queue counts packets, so it sets no ceiling on connections: when it drops " +
		"one, TCP notices at once, slows down and sends it again.",
	Formula: "no ceiling in connections; txqueuelen packets on devices whose qdisc uses it " +
		"(three bands of them with pfifo_fast, which share them before Linux 4.16), else " +
		"the limit of the qdisc",
	Myths: []Myth{
		{"txqueuelen has to be raised for many connections",
			"it counts packets, and most devices of today do not use it: fq, " +
				"fq_codel, mq, noqueue, veth and lo take no notice of it",
			"net/sched/sch_fifo.c __fifo_init; net/sched/sch_generic.c " +
				"pfifo_fast_init"},
		{"a device that shows \"qlen 1000\" has a queue of 1000 packets",
			"that is txqueuelen, shown for every device, also for those without a " +
				"queue (noqueue)",
			"net/core/dev.c alloc_netdev_mqs (DEFAULT_TX_QUEUE_LEN)"},
		{"a new txqueuelen acts at once",
			"with pfifo_fast and tun it does; pfifo, bfifo and htb copy it when " +
				"they are made and keep their limit (measured)",
			"net/sched/sch_fifo.c __fifo_init; net/sched/sch_generic.c " +
				"dev_qdisc_change_tx_queue_len"},
		{"drops of fq_codel mean that the queue is too short",
			"it drops on purpose, to tell senders to slow down, and so do codel, " +
				"cake, pie and red", "net/sched/sch_fq_codel.c fq_codel_dequeue"},
	},
	Knobs: []string{
		"txqueuelen", "net.core.default_qdisc", "limit of a qdisc",
	},
	Signs: []Sign{
		{
			Text: "QDISC_DROP",
			Means: "drop reason of the tracepoint skb:kfree_skb: a qdisc dropped a " +
				"packet that was to be sent",
			Look: "maxconn check --limit transmit-queue --for 10s; tc -s qdisc",
		},
		{
			Text: "FULL_RING",
			Means: "drop reason of the tracepoint skb:kfree_skb: the ring of a tun " +
				"or tap device (txqueuelen packets) was full, its reader is " +
				"too slow",
			Look: "maxconn check --limit transmit-queue --for 10s; ip -s link",
		},
	},
	Sources: []string{
		"net/sched/sch_generic.c pfifo_fast_init, dev_qdisc_change_tx_queue_len (4.4-6.18)",
		"net/sched/sch_fifo.c __fifo_init (4.4-6.18)",
		"net/sched/sch_htb.c htb_init, sch_sfb.c sfb_change, sch_gred.c gred_init, " +
			"sch_plug.c plug_init, sch_teql.c teql_enqueue (4.4-6.18)",
		"drivers/net/tun.c tun_queue_resize (4.8-6.18)",
	},
	Needs: []host.Fact{host.All(host.LinkKind), host.All(host.QdiscKind),
		kernelRelease},
	Details:        []host.Fact{kernelRelease},
	Refusals:       []host.Fact{host.All(host.QdiscKind), host.All(host.LinkKind)},
	RefusalsShared: true,
	DropReasons: []string{"QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "CAKE_FLOOD",
		"FQ_BAND_LIMIT", "FQ_FLOW_LIMIT"},
	Gauges: transmitGauges,
})

// device is a link that is up, with its queueing disciplines.
type device struct {
	name, kind, root string // kind of the link ("tun"), kind of the root qdisc
	length, mtu      int64
	lengthKnown      bool
	oneRing          bool // pfifo_fast of a kernel before 4.16
	link             host.Row
	qdiscs           []host.Row
}

func transmitGauges(r *host.Reader, _ Workload) []Gauge {
	var gauges []Gauge
	var idle []string
	for _, d := range devices(r) {
		if d.root == "" {
			gauges = append(gauges, blind(Subject{Kind: Device, Name: d.name}, Both,
				lacking(d.link, "qdisc")))
			continue
		}
		user, ok := d.user()
		g := d.gauge(r, user)
		switch {
		case ok || g.Harms || g.Notice:
			gauges = append(gauges, g)
		default:
			idle = append(idle, d.name+" ("+d.root+")")
		}
	}
	if len(idle) > 0 {
		gauges = append(gauges, Gauge{
			Subject: Subject{Kind: Device, Name: "other devices"}, Bounds: Both,
			Unbounded: true, Owner: "their qdisc",
			Steps: []Step{{
				Label: "devices that take no notice of txqueuelen: " + few(idle),
				Value: int64(len(idle)),
				Unit:  "devices",
				How:   Read,
				From:  "netlink",
			}},
		})
	}
	return gauges
}

// devices are those that are up. The three bands of pfifo_fast have a ring each since c5ad119fb6c0
// (4.16); before, they share txqueuelen as it was when the qdisc was made.
func devices(r *host.Reader) (out []device) {
	oneRing := r.Kernel().Before(4, 16)
	byLink := map[string][]host.Row{}
	if r.Partial(host.QdiscKind) == "" {
		for _, q := range r.Table(host.QdiscKind) {
			byLink[q.Text("link")] = append(byLink[q.Text("link")], q)
		}
	}
	for _, row := range r.Table(host.LinkKind) {
		d := device{
			name:   row.Name(),
			kind:   row.Text("kind"),
			root:   row.Text("qdisc"),
			link:   row,
			qdiscs: byLink[row.Name()],

			oneRing: oneRing,
		}
		if row.Text("up") == "no" {
			continue
		}
		d.length, d.lengthKnown = row.Int("txqueuelen")
		d.mtu, _ = row.Int("mtu")
		out = append(out, d)
	}
	return out
}

// user is the kind of queue of the device that has its length from txqueuelen, "" for none.
func (d device) user() (kind string, ok bool) {
	if d.kind == "tun" {
		return "tun", true
	}
	if len(d.qdiscs) == 0 {
		// all that can be said without the list of qdiscs
		return d.root, d.root == "pfifo_fast"
	}
	for _, q := range d.qdiscs {
		if d.uses(q) {
			return q.Text("kind"), true
		}
	}
	return "", false
}

// uses says whether a qdisc has its length from txqueuelen. pfifo and bfifo show it by a
// limit of that size.
func (d device) uses(q host.Row) bool {
	limit, known := q.Int("limit")
	switch kind := q.Text("kind"); kind {
	case "pfifo_fast", "htb", "sfb", "gred", "plug":
		return true
	case "pfifo", "pfifo_head_drop":
		return !known || limit == d.length
	case "bfifo":
		// plus the link header
		return d.length > 0 && known && limit%d.length == 0 && limit/d.length >= d.mtu &&
			limit/d.length <= d.mtu+64
	default:
		return strings.HasPrefix(kind, "teql")
	}
}

// counts is the row whose drops are those of the whole device: the root adds up what lies below it.
func (d device) counts() (host.Row, bool) {
	for _, q := range d.qdiscs {
		if q.Text("root") == "yes" {
			return q, true
		}
	}
	return host.Row{}, false
}

// tail says whether the queue drops only when it is full. Others drop to shape traffic or
// to tell senders to slow down.
func (d device) tail() bool {
	kinds := append([]host.Row{}, d.qdiscs...)
	for _, q := range kinds {
		switch q.Text("kind") {
		case "pfifo_fast", "pfifo", "bfifo", "pfifo_head_drop", "mq", "mqprio", "prio",
			"multiq", "noqueue":
		default:
			return false
		}
	}
	return len(kinds) > 0
}

func (d device) gauge(r *host.Reader, user string) Gauge {
	g := Gauge{
		Subject:   Subject{Kind: Device, Name: d.name},
		Bounds:    Both,
		Unbounded: true,
		Owner:     "limit of the qdisc (" + d.root + ")",
	}
	if user != "" {
		g.Owner = "txqueuelen of " + d.name
		g.Steps = d.steps(user)
	}
	if user == "tun" {
		if moved, _ := r.Moved(d.link.Fact, "tx_dropped"); moved > 0 {
			g.Notice, g.Refused = true, moved
			g.Cause = "packets to " + d.name + " were dropped in the window (" +
				figure.Count(moved) + " of them): the ring of txqueuelen " +
				"packets was full because its reader is too slow, or nobody reads"
			g.Evidence = []Evidence{{"link " + d.name + " tx_dropped",
				"+" + itoa(moved), "packets to this device that were dropped, " +
					"for whatever reason"}}
			g.Remedies = []Remedy{d.longer(user)}
		}
		return g
	}
	q, ok := d.counts()
	drops, known := q.Int("drops")
	if !ok || !known {
		g.Unseen = append(g.Unseen, d.uncounted(r))
		return g
	}
	moved, _ := r.Moved(q.Fact, "drops")
	sent, _ := q.Int("packets")
	sentNow, _ := r.Moved(q.Fact, "packets")
	g.Harms = moved > 0 && d.tail() && manyDropped(moved, sentNow)
	g.Notice = d.tail() &&
		(moved > 0 || (!windowed(r) && drops > 0 && manyDropped(drops, sent)))
	if g.Notice {
		d.explain(&g, user, drops, moved)
	}
	return g
}

// manyDropped says whether more than one packet in 10,000 was dropped. Fewer are what a
// burst costs now and then. How many were sent may not be known (0): then any drop counts.
func manyDropped(drops, sent int64) bool { return drops > max(sent, 0)/10_000 }

// uncounted is why the drops of the device are not known.
func (d device) uncounted(r *host.Reader) host.Missing {
	if why := r.Partial(host.QdiscKind); why != "" {
		return host.Missing{Fact: host.All(host.QdiscKind), Why: why}
	}
	return host.Missing{Fact: host.Fact{Kind: host.QdiscKind, Name: d.name},
		Why: "drops of its root qdisc were not read"}
}

func (d device) explain(g *Gauge, user string, drops, moved int64) {
	length := "its qdisc (" + d.root + ") has a limit of its own, txqueuelen does nothing"
	if user != "" && d.lengthKnown {
		length = "txqueuelen = " + itoa(d.length) + ", used by " + user
	}
	value := itoa(drops)
	if moved > 0 {
		g.Refused = moved
		value = figure.Count(drops) + " (+" + figure.Count(moved) + " in the window)"
		g.Cause = "the transmit queue of " + d.name +
			" was full in the window and dropped packets (" + figure.Count(moved) +
			" of them); " + length
	} else {
		g.Cause = "the transmit queue of " + d.name +
			" was full at some time and dropped packets (" + figure.Count(drops) +
			" of them); " + length
	}
	g.Evidence = []Evidence{{"tc -s qdisc " + d.name + " dropped", value,
		"packets, not connections; TCP is told at once, slows down and sends them again"}}
	switch {
	case moved > 0 && !g.Harms: // one burst, seen as it happened
	case !g.Harms:
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether the counter still moves",
			TakesEffect: Now,
		}}
	case user != "":
		g.Remedies = []Remedy{d.longer(user), d.fair()}
	default:
		g.Remedies = []Remedy{{Kind: BySetting,
			Setting: "tc qdisc change dev " + encode.CommandWord(d.name),
			Text: "a larger limit of the qdisc; it takes longer bursts and " +
				"adds delay",
			TakesEffect: Now}, d.fair()}
	}
}

func (d device) steps(user string) []Step {
	if !d.lengthKnown {
		return nil
	}
	steps := []Step{{
		ID:    QueueLength,
		Label: "txqueuelen of " + d.name + ", used by " + user,
		Value: d.length,
		Unit:  "packets",
		How:   Read,
		From:  "netlink",
	}}
	if user == "pfifo_fast" && !d.oneRing {
		label := "packets that its queue holds, in three bands by priority"
		if d.root != user {
			label = "packets that each of its hardware queues holds, in three " +
				"bands by priority"
		}
		steps = append(steps, Step{
			Label: label,
			Sum:   "3 * " + itoa(d.length),
			Value: 3 * min(d.length, 1<<32),
			Unit:  "packets",
			How:   Computed,
		})
	}
	return steps
}

func (d device) longer(user string) Remedy {
	m := Remedy{
		Kind: BySetting, Setting: "ip link set dev " + encode.CommandWord(d.name) +
			" txqueuelen",
		TakesEffect: Now,
		Text: "a longer queue takes longer bursts and adds delay; it does not " +
			"help a link that is full all the time",
	}
	if d.lengthKnown {
		m.From, m.To = itoa(d.length), itoa(2*min(max(d.length, 500), 1<<30))
	}
	if user != "pfifo_fast" && user != "tun" || user == "pfifo_fast" && d.oneRing {
		m.TakesEffect = "when the qdisc is made again (tc qdisc replace)"
		return m
	}
	if d.lengthKnown && d.length >= 0 && d.length < usualLength {
		m.To = itoa(usualLength)
		m.Change = host.Setting{Fact: host.Fact{Kind: host.LinkKind,
			Name: d.name + "#txqueuelen"}, Want: m.To}
		m.Sum = "somebody made it shorter than the " + itoa(usualLength) +
			" packets that the kernel gives a device"
		m.Cost = "none by itself; a full queue of " + itoa(usualLength) +
			" packets takes about 2 MiB of kernel memory"
		m.Risk = "more delay when the link is full"
		m.Lasts = "until the device is made again"
		return m
	}
	m.Text += "; only by hand, because how much delay the link may have is not seen from here"
	if m.To != "" {
		m.Text += ": " + m.Setting + " " + m.To
	}
	return m
}

// usualLength is what the kernel gives a device (net/core/dev.c DEFAULT_TX_QUEUE_LEN).
// Longer ones are nobody's to choose from afar.
const usualLength = 1000

func (d device) fair() Remedy {
	const text = "a queue for each flow, so that one burst does not push out the packets " +
		"of others"
	if strings.HasPrefix(d.root, "mq") {
		return Remedy{
			Kind:        BySetting,
			Setting:     "net.core.default_qdisc",
			To:          "fq_codel",
			Text:        text,
			TakesEffect: "when the device is brought up again",
		}
	}
	return Remedy{Kind: BySetting, Setting: "tc qdisc replace dev " +
		encode.CommandWord(d.name) + " root",
		From: d.root, To: "fq_codel", Text: text, TakesEffect: Now}
}
