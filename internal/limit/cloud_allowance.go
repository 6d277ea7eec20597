package limit

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const CloudAllowance ID = "cloud-allowance"

var _ = register(Limit{
	ID:      CloudAllowance,
	Title:   "what a cloud allows a virtual machine: tracked connections, packets, bandwidth",
	Measure: Held,
	Scope:   Host,
	Doc: "Outside of the virtual machine the cloud follows its connections (security groups) " +
		"and bounds its packets and bytes each second, by the type of the instance. What " +
		"goes beyond is dropped or held up there, and no counter of this kernel's TCP " +
		"moves; some drivers tell. Amazon's ENA counts packets beyond each allowance in " +
		"the device's statistics (`ethtool -S`), and since its version 2.8.1 how many " +
		"connections may still be tracked. virtio_net counts packets that the host's " +
		"rate limit dropped, where the host tells (Linux 6.11). The drivers of other " +
		"clouds (gve, mana, hv_netvsc) tell nothing of the kind, and then nobody can say " +
		"from inside.",
	Formula: "connections = those tracked now + conntrack_allowance_available, where the " +
		"driver tells; how many that is for each type of instance is not documented",
	Myths: []Myth{
		{"net.netfilter.nf_conntrack_max bounds what the cloud tracks",
			"that is this kernel's own table; security groups are tracked outside " +
				"of the virtual machine, whether nf_conntrack is loaded or not",
			"drivers/net/ethernet/amazon/ena/ena_ethtool.c " +
				"ena_stats_eni_strings (conntrack_allowance_exceeded)"},
		{"idle connections cost nothing outside",
			"each is tracked until it ends or its idle timeout is over (up to 5 " +
				"days by default on older types of instances, 350 s on newer); " +
				"only flows of rules that allow all, both ways, are not tracked",
			"docs.aws.amazon.com/AWSEC2 security-group-connection-tracking"},
	},
	Knobs: []string{"net.netfilter.nf_conntrack_max"},
	Signs: []Sign{
		{
			Text: "conntrack_allowance_exceeded",
			Means: "a counter of the ENA driver (ethtool -S): packets dropped " +
				"because the instance may not have more tracked connections; new " +
				"connections fail, in and out, and established ones go on",
			Look: "maxconn check --limit cloud-allowance --for 10s",
		}, {
			Text: "pps_allowance_exceeded",
			Means: "a counter of the ENA driver (ethtool -S): packets dropped or " +
				"held up because the instance may not send and receive more " +
				"packets each second; SYNs are among them",
			Look: "maxconn check --limit cloud-allowance --for 10s",
		}, {
			Text: "bw_in_allowance_exceeded",
			Means: "a counter of the ENA driver (ethtool -S): packets dropped or " +
				"held up because of the instance's bandwidth, inbound " +
				"(bw_out_allowance_exceeded: outbound)",
			Look: "maxconn check --limit cloud-allowance --for 10s",
		}, {
			Text: "linklocal_allowance_exceeded",
			Means: "a counter of the ENA driver (ethtool -S): packets dropped " +
				"because DNS, the metadata service and time together get at most " +
				"1,024 packets each second for each device",
			Look: "maxconn check --limit cloud-allowance --for 10s; a DNS cache on " +
				"the host",
		},
	},
	Sources: []string{
		"drivers/net/ethernet/amazon/ena/ena_ethtool.c ena_stats_eni_strings, " +
			"ena_hw_metrics_strings (5.10-6.18)",
		"drivers/net/virtio_net.c virtnet_stats_rx_speed_desc, " +
			"virtnet_stats_tx_speed_desc (6.11)",
		"docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-network-performance-ena",
	},
	Needs:    []host.Fact{host.All(host.AllowanceKind)},
	Refusals: []host.Fact{host.All(host.AllowanceKind)}, RefusalsShared: true,
	Gauges: allowanceGauges,
})

// allowance is one of those that a driver counts.
type allowance struct {
	counter, what string
	// refuses: what is beyond is lost and connections fail, at once; else it is slow.
	refuses bool
	remedy  string
}

var allowances = []allowance{
	{"conntrack_allowance_exceeded", "tracked connections", true,
		"rules of the security group that allow all, in both directions, are not " +
			"tracked (put a network ACL in their place); a shorter idle timeout of " +
			"the network interface; fewer and longer connections; a larger instance, " +
			"or several"},
	{"pps_allowance_exceeded", "packets each second", false,
		"a larger instance, or several: the allowance is the instance's, whatever the " +
			"number of devices; fewer, larger packets (no TCP_NODELAY for small " +
			"writes, jumbo frames inside the VPC)"},
	{"bw_in_allowance_exceeded", "inbound bandwidth", false,
		"a larger instance, or several; what the network gives beyond the baseline is " +
			"for bursts"},
	{"bw_out_allowance_exceeded", "outbound bandwidth", false,
		"a larger instance, or several; what the network gives beyond the baseline is " +
			"for bursts"},
	{"linklocal_allowance_exceeded", "packets each second to DNS, metadata and time", true,
		"a DNS cache on this host (systemd-resolved, dnsmasq, NodeLocal DNSCache), so " +
			"that a connection asks no name server"},
	{"rx_ratelimit_packets", "received packets each second", false,
		"a larger machine, or several"},
	{"tx_ratelimit_packets", "sent packets each second", false,
		"a larger machine, or several"},
	{"rx_ratelimit_bytes", "received bytes each second", false,
		"a larger machine, or several"},
	{"tx_ratelimit_bytes", "sent bytes each second", false,
		"a larger machine, or several"},
}

const allowanceLeft = "conntrack_allowance_available"

func allowanceGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	for _, row := range r.Rows(host.AllowanceKind) {
		gauges = append(gauges, allowanceGauge(r, row))
	}
	return gauges
}

// allowanceGauge is what one device's driver tells. The tracked connections are the instance's:
// each device counts its own (amzn/amzn-drivers issue 291).
func allowanceGauge(r *host.Reader, row host.Row) Gauge {
	g := Gauge{
		Subject:   Subject{Kind: Device, Name: "device " + row.Name()},
		Unbounded: true,
		Owner:     "the type of the instance",
	}
	if left, ok := row.Int(allowanceLeft); ok && left >= 0 {
		g.Steps = append(g.Steps, Step{Label: "connections that may still be tracked",
			Value: left, Unit: "connections", How: Read,
			From: "allowance " + row.Name() + " " + allowanceLeft})
		g.Notice = left == 0
	} else if row.Text("driver") == "ena" {
		g.Unseen = append(g.Unseen, host.Missing{Fact: host.Fact{Kind: row.Fact.Kind,
			Name: row.Name() + "#" + allowanceLeft},
			Why: "this version of the driver does not tell (ENA 2.8.1 does)"})
	}
	g.lacksCounters(row)
	var causes []string
	for _, a := range allowances {
		causes = append(causes, a.judge(r, row, &g)...)
	}
	switch {
	case len(causes) > 0:
		g.Cause = "the cloud dropped or held up packets of " + row.Name() + ": " +
			strings.Join(causes, "; ")
	case g.Notice:
		g.Cause = "the cloud tracks no further connection of " + row.Name() + " (" +
			allowanceLeft + " is 0)"
		g.Remedies = append(g.Remedies, allowances[0].lift())
	}
	return g
}

// lacksCounters notes counters of refusals that are missing from a row that has others: ENA has all
// five since it has any (Linux 5.10).
func (g *Gauge) lacksCounters(row host.Row) {
	lacks := func(a allowance) bool { _, ok := row.Int(a.counter); return !ok }
	ena := allowances[:5]
	if !slices.ContainsFunc(ena, func(a allowance) bool { return !lacks(a) }) {
		return
	}
	for _, a := range ena {
		if lacks(a) {
			g.Decides = true
			g.Unseen = append(g.Unseen, lacking(row, a.counter))
		}
	}
}

// judge puts what one counter says into the gauge, and returns it in words.
func (a allowance) judge(r *host.Reader, row host.Row, g *Gauge) (causes []string) {
	n, known := row.Int(a.counter)
	if !known || n <= 0 {
		return nil
	}
	moved, watched := r.Moved(row.Fact, a.counter)
	unit := "packet"
	if strings.HasSuffix(a.counter, "bytes") {
		unit = "byte"
	}
	value, since := figure.Count(n), " since the device was made"
	switch {
	case moved > 0:
		g.Refusing = g.Refusing || a.refuses
		g.Harms = g.Harms || !a.refuses
		if a.refuses {
			g.Refused += moved
		}
		value += " (+" + figure.Count(moved) + " in the window)"
		n, since = moved, " in the window"
	case watched && windowed(r):
		return nil // no news
	default:
		g.Notice = true
	}
	g.Evidence = append(g.Evidence, Evidence{"allowance " + row.Name() + " " + a.counter, value,
		unit + "s beyond the allowance of " + a.what + ", dropped or held up outside of " +
			"this host"})
	if !slices.Contains(g.Remedies, a.lift()) {
		g.Remedies = append(g.Remedies, a.lift())
	}
	return []string{plural(n, unit) + " beyond the allowance of " + a.what + since}
}

func (a allowance) lift() Remedy {
	return Remedy{Kind: ByTopology, Text: a.remedy, TakesEffect: NowForNew}
}
