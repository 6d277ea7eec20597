package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const ReceiveBacklog ID = "receive-backlog"

var _ = register(Limit{
	ID:      ReceiveBacklog,
	Title:   "received packets that wait for a CPU",
	Measure: Burst,
	Scope:   Host,
	Doc: "Each CPU has an input queue of `netdev_max_backlog` packets. Only packets that " +
		"arrive through netif_rx() pass it: those of loopback, of veth pairs without " +
		"NAPI, of tunnels and of old drivers, and those that RPS hands to another CPU. " +
		"A network card with NAPI and without RPS never uses it. A full queue drops " +
		"the packet, whatever it belongs to; TCP sends it again. " +
		"The queue counts packets, so it sets no ceiling on connections; a drop costs " +
		"a new connection 1 s when it hits a SYN.",
	Formula: "no ceiling in connections; netdev_max_backlog + 1 packets for each CPU, on " +
		"devices that receive through netif_rx() or RPS",
	Myths: []Myth{
		{"net.core.netdev_max_backlog should be raised on every busy server",
			"a card with NAPI and without RPS never puts a packet there; raise it " +
				"only where column 2 of /proc/net/softnet_stat grows, since a " +
				"longer queue also means longer delays",
			"net/core/dev.c enqueue_to_backlog, netif_rx_internal"},
		{"time_squeeze in softnet_stat counts lost packets",
			"it counts how often a CPU stopped at netdev_budget or " +
				"netdev_budget_usecs and went on later; nothing is lost",
			"net/core/dev.c net_rx_action"},
		{"/proc/net/softnet_stat in a container is that of the container",
			"it has one row for each CPU of the host, the same in every namespace",
			"net/core/net-procfs.c " +
				"softnet_seq_show"},
	},
	Knobs: []string{
		"net.core.netdev_max_backlog", "net.core.netdev_budget",
		"net.core.netdev_budget_usecs", "net.core.dev_weight",
		"net.core.flow_limit_cpu_bitmap",
	},
	Signs: []Sign{
		{
			Text: "softnet_stat",
			Means: "/proc/net/softnet_stat: one row for each CPU, hexadecimal: " +
				"packets processed, dropped at a full input queue, runs that " +
				"stopped at their budget (time_squeeze, no loss); further " +
				"columns by kernel version",
			Look: "maxconn check --limit receive-backlog --for 10s",
		},
		{
			Text: "CPU_BACKLOG",
			Means: "drop reason of the tracepoint skb:kfree_skb: the input queue " +
				"of a CPU was full (netdev_max_backlog)",
			Look: "maxconn check --limit receive-backlog --for 10s",
		},
	},
	Sources: []string{
		"net/core/dev.c enqueue_to_backlog, netif_rx_internal, net_rx_action (4.4-6.18)",
		"net/core/net-procfs.c softnet_seq_show (4.4-6.18)",
	},
	Needs: []host.Fact{netdevMaxBacklog(), host.All(host.SoftnetKind),
		host.All(host.LinkKind)},
	Details:  []host.Fact{netdevMaxBacklog(), host.All(host.LinkKind)},
	Refusals: []host.Fact{host.All(host.SoftnetKind)}, RefusalsShared: true,
	Silent:      true,
	DropReasons: []string{"CPU_BACKLOG"},
	Gauges:      receiveGauges,
})

func netdevMaxBacklog() host.Fact { return host.Sysctl("net.core.netdev_max_backlog") }

// softnet is the sum over the CPUs.
type softnet struct {
	processed, dropped, squeezed, limited int64 // since boot
	processedNow, droppedNow              int64 // in the window
	// of these, at most so many at devices of this namespace, and whether that was seen
	own                 int64
	ownSeen             bool
	sinceBoot, inWindow worstCPU
	unseen              []host.Missing
}

// worstCPU is the CPU that dropped most.
type worstCPU struct {
	name    string
	dropped int64
}

func (w *worstCPU) see(name string, dropped int64) {
	if dropped > w.dropped {
		w.name, w.dropped = name, dropped
	}
}

// worst is the CPU that the cause speaks of.
func (s softnet) worst() string {
	if s.droppedNow > 0 {
		return s.inWindow.name
	}
	return s.sinceBoot.name
}

func readSoftnet(r *host.Reader) (s softnet) {
	for _, row := range r.Table(host.SoftnetKind) {
		dropped, ok := row.Int("dropped")
		if !ok {
			s.unseen = append(s.unseen,
				host.Missing{Fact: row.Fact, Why: "the row has no column of " +
					"dropped packets"})
			continue
		}
		s.dropped += dropped
		s.processed += row.Count("processed")
		s.squeezed += row.Count("squeezed")
		s.limited += row.Count("flow_limit")
		moved, _ := r.Moved(row.Fact, "dropped")
		s.droppedNow += max(0, moved)
		processed, _ := r.Moved(row.Fact, "processed")
		s.processedNow += max(0, processed)
		s.sinceBoot.see(row.Name(), dropped)
		s.inWindow.see(row.Name(), moved)
	}
	return s
}

func receiveGauges(r *host.Reader, _ Workload) []Gauge {
	s := readSoftnet(r)
	if r.Err() != nil {
		return nil
	}
	users, others, unknown := receivePaths(r)
	s.own, s.ownSeen = lostHere(r, s.droppedNow)
	g := Gauge{
		Subject:   thisHost,
		Bounds:    Both,
		Unbounded: true,
		Owner:     "net.core.netdev_max_backlog",
		Unseen:    s.unseen,
	}
	length, known := r.Maybe(netdevMaxBacklog())
	if known {
		g.Steps = append(g.Steps, Step{
			ID:    QueueLength,
			Label: "packets that the input queue of a CPU holds",
			Value: length,
			Unit:  "packets",
			How:   Read,
			From:  netdevMaxBacklog().Name,
		})
	} else {
		g.Unseen = append(g.Unseen, notANumber(r, netdevMaxBacklog()))
	}
	g.Steps = append(g.Steps, pathSteps(users, others, unknown)...)
	if _, ok := r.Row(host.SoftnetKind, "cpu0"); !ok && s.processed == 0 && len(s.unseen) == 0 {
		g.Unseen = append(g.Unseen, host.Missing{Fact: host.All(host.SoftnetKind),
			Why: "no row of /proc/net/softnet_stat"})
	}
	g.Refusing = s.refuses()
	if g.Refusing {
		g.Refused = s.own
	}
	// Whose packets were lost cannot be told without the devices.
	g.Harms = s.many() && !s.ownSeen
	g.Notice = s.droppedNow > 0 || (s.worthALine() && !windowed(r))
	if !g.Notice {
		return []Gauge{g}
	}
	g.Cause, g.Evidence = s.cause(users), s.evidence()
	switch {
	case g.Refusing || g.Harms:
		g.Remedies = s.remedies(length, known, len(users) > 0)
	case !windowed(r):
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether the counter still moves",
			TakesEffect: Now,
		}}
	}
	return []Gauge{g}
}

// many says whether packets are lost in a number that connections feel: one in 100,000
// in the window.
func (s softnet) many() bool {
	return s.droppedNow > 0 && s.droppedNow >= s.processedNow/100_000
}

// refuses says whether some of them were this namespace's.
func (s softnet) refuses() bool { return s.many() && s.own > 0 }

// lostHere is how many of the packets dropped were this namespace's, at most: those that its
// devices count. The counters of softnet_stat are the host's, and a packet that is dropped at the
// queue also counts as rx_dropped of its device (net/core/dev.c enqueue_to_backlog, 4.4-6.18), as
// do packets of protocols that nobody takes.
func lostHere(r *host.Reader, dropped int64) (n int64, seen bool) {
	for _, row := range r.Rows(host.LinkKind) {
		if moved, _ := r.Moved(row.Fact, "rx_dropped"); row.Text("backlog") != "napi" {
			n += max(moved, 0)
		}
	}
	return min(n, dropped), n > 0 || r.Partial(host.LinkKind) == ""
}

// worthALine says whether the drops since boot are more than one in a million: a few at
// boot, or when a device went down, are on every machine.
func (s softnet) worthALine() bool { return s.dropped > 0 && s.dropped > s.processed/1_000_000 }

// receivePaths sorts the devices that are up by the way that received packets take.
func receivePaths(r *host.Reader) (users, others, unknown []string) {
	if r.Partial(host.LinkKind) != "" {
		return nil, nil, nil // only their names are wanted
	}
	for _, row := range r.Table(host.LinkKind) {
		if row.Text("up") == "no" {
			continue
		}
		switch row.Text("backlog") {
		case "netif_rx", "rps", "gro_cells":
			// gro_cells_receive has a queue of its own with the same bound; what
			// does not fit counts in rx_dropped of the device alone
			users = append(users, row.Name())
		case "napi":
			others = append(others, row.Name())
		default:
			unknown = append(unknown, row.Name())
		}
	}
	return users, others, unknown
}

func pathSteps(users, others, unknown []string) (steps []Step) {
	for _, x := range []struct {
		label   string
		devices []string
	}{
		{"devices whose packets pass it", users},
		{"devices with NAPI and without RPS, which never use it", others},
		{"devices of which it is not known", unknown},
	} {
		if n := int64(len(x.devices)); n > 0 {
			steps = append(steps, Step{
				Label: x.label + ": " + few(x.devices),
				Value: n,
				Unit:  "devices",
				How:   Read,
				From:  "/sys/class/net",
			})
		}
	}
	return steps
}

// few names up to four things.
func few(names []string) string {
	if len(names) <= 4 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:3], ", ") + " and " + figure.Count(int64(len(names)-3)) + " more"
}

func (s softnet) cause(users []string) string {
	when, dropped := "since boot", s.dropped
	if s.droppedNow > 0 {
		when, dropped = "in the window", s.droppedNow
	}
	text := "received packets were dropped " + when + " at a full input queue of a CPU (" +
		figure.Count(dropped) + " of them on the host, most at " + s.worst() + ")"
	switch {
	case s.droppedNow > 0 && s.own > 0:
		text += ", at most " + figure.Count(s.own) + " at devices of this namespace"
	case s.droppedNow > 0 && s.ownSeen:
		return text + ", none at a device of this namespace"
	case s.droppedNow > 0:
		text += "; whether it was in this namespace could not be seen"
	}
	if len(users) > 0 {
		text += "; devices of this namespace that use it: " + few(users)
	}
	return text
}

func (s softnet) evidence() []Evidence {
	value := itoa(s.dropped)
	if s.droppedNow > 0 {
		value = figure.Count(s.dropped) + " (+" + figure.Count(s.droppedNow) + " of " +
			figure.Count(s.processedNow+s.droppedNow) + " packets in the window)"
	}
	ev := []Evidence{{"/proc/net/softnet_stat dropped", value,
		"packets of any kind on the whole host, not connections; TCP sends them again. " +
			"Older kernels also count packets of a device that was just taken down"}}
	if s.limited > 0 {
		ev = append(ev, Evidence{"/proc/net/softnet_stat flow_limit", itoa(s.limited),
			"of these, dropped because one flow filled the queue " +
				"(net.core.flow_limit_cpu_bitmap)"})
	}
	if s.squeezed > 0 {
		ev = append(ev, Evidence{"/proc/net/softnet_stat squeezed", itoa(s.squeezed),
			"runs that stopped at their budget (netdev_budget, " +
				"netdev_budget_usecs) and went on later: no loss"})
	}
	return ev
}
