package limit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const ConnectionRules ID = "connection-rules"

var _ = register(Limit{
	ID:      ConnectionRules,
	Title:   "firewall rules that allow so many connections",
	Measure: Held,
	Scope:   Listener,
	Bounds:  Flows{Direction: Both},
	Doc: "A rule of nf_tables or iptables may allow a number of connections at once " +
		"(`ct count over 100 drop`, connlimit), or of new ones in a time (`limit rate`, " +
		"hashlimit, a meter), for all, or for each client address. What is beyond is " +
		"dropped, and the client waits, or refused. The count is of entries of " +
		"connection " +
		"tracking that passed the rule and are neither in TIME_WAIT nor CLOSE. maxconn " +
		"reads the rules of nf_tables, which are those of iptables-nft as well, and " +
		"their " +
		"counters; a rule without a counter does not tell what it drops.",
	Formula: "held = the number in the rule, for the connections that it applies to; which " +
		"those are is known of rules that name a protocol and a port and nothing else",
	Myths: []Myth{
		{"nftables shows how many connections a rule counts now",
			"neither nft nor iptables show it; only elements of a set (a meter) and " +
				"the " +
				"counter behind the expression tell anything",
			"net/netfilter/nft_connlimit.c nft_connlimit_do_dump"},
		{"closed connections count until their entry is gone",
			"those in TIME_WAIT and CLOSE are taken out when the rule counts again",
			"net/netfilter/nf_conncount.c already_closed"},
		{"a rule that counts connections concerns new ones only",
			"without \"ct state new\" (or --syn) each packet is counted again, and " +
				"while " +
				"there are too many, packets of open connections are dropped as " +
				"well: " +
				"they hang (measured on Linux 6.18)",
			"net/netfilter/nft_connlimit.c nft_connlimit_do_eval"},
		{"connlimit limits each client",
			"it does so with a mask of /32, its default; with --connlimit-mask 0, as " +
				"with ct count outside of a set, the number is for all clients " +
				"together", "net/netfilter/xt_connlimit.c connlimit_mt"},
		{"a rule that drops refuses the connection",
			"the client gets no answer and sends its SYN again; only reject answers",
			"net/ipv4/tcp_timer.c tcp_retransmit_timer"},
	},
	Knobs: []string{"net.netfilter.nf_conntrack_count"},
	Signs: []Sign{{
		Text:  "connection timed out",
		Errno: "ETIMEDOUT",
		Call:  "connect",
		Means: "the SYN was dropped on the way, perhaps by a firewall rule on either " +
			"host " +
			"that allows so many connections (ct count, connlimit, hashlimit, limit)",
		Look: "maxconn check --limit connection-rules --for 10s; nft -a list ruleset",
	}},
	Sources: []string{
		"net/netfilter/nft_connlimit.c nft_connlimit_do_eval (4.18-6.18)",
		"net/netfilter/nf_conncount.c __nf_conncount_add, already_closed (4.18-6.18)",
		"net/netfilter/nft_limit.c nft_limit_eval (4.4-6.18)",
		"net/netfilter/xt_connlimit.c connlimit_mt, xt_hashlimit.c hashlimit_mt_common " +
			"(4.4-6.18)",
	},
	Needs: []host.Fact{
		rulesetFact("rules"), rulesetFact("legacy"), host.All(host.RuleKind),
		host.All(host.ListenerKind), host.All(host.InboundKind),
	},
	Refusals: []host.Fact{host.All(host.RuleKind)}, RefusalsShared: true,
	Silent: true,
	Gauges: connectionRuleGauges,
})

// connectionRule is a rule that counts connections, or new ones.
type connectionRule struct {
	host.Row
	most     int64 // -1: not known
	measure  Measure
	rate     bool
	seconds  int64
	counted  bool
	packets  int64
	moved    int64
	windowed bool
}

// newConnectionRule reads the row of a rule. One without its verdict is taken for one that drops.
func newConnectionRule(r *host.Reader, row host.Row) connectionRule {
	x := connectionRule{Row: row, measure: Held, most: -1}
	text := row.Text("count")
	if text == "none" {
		x.measure, x.rate, text = PerSecond, true, row.Text("rate")
		x.seconds = row.Count("seconds")
	}
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		x.most = int64(n)
	}
	if x.rate && (x.seconds <= 0 || x.most < 0) {
		x.most = -1
	} else if x.rate {
		x.most /= x.seconds
	}
	x.packets, x.counted = row.Int("packets")
	x.windowed = windowed(r)
	if x.counted {
		x.moved, _ = r.Moved(row.Fact, "packets")
		x.moved = max(0, x.moved)
	}
	return x
}

// refuses says whether what passes the limit is refused: so what its counter counts is.
func (x connectionRule) refuses() bool {
	return x.Text("over") == "yes" && slices.Contains([]string{"drop", "reject"},
		x.Text("verdict"))
}

// port is the one to which the rule applies and nothing else, 0 where that is not known.
func (x connectionRule) port() int64 {
	sure := x.Text("plain") == "yes" && x.Text("each") == "no" && x.Text("protocol") == "6" &&
		x.Text("hooks") == "input" && x.refuses() && x.most >= 0 &&
		(!x.rate || x.Text("new") == "yes")
	if !sure {
		return 0
	}
	return x.Count("port")
}

// directions are the flows that it may bound.
func (x connectionRule) directions() (d Direction) {
	for hook := range strings.SplitSeq(x.Text("hooks"), ",") {
		switch hook {
		case "input":
			d |= Inbound
		case "output", "postrouting":
			d |= Outbound
		case "forward":
		default: // prerouting sees what the host answers to connections of its own, too
			d |= Both
		}
	}
	return d
}

// stallsOpenOnes says whether it counts each packet, not those of new connections alone.
func (x connectionRule) stallsOpenOnes() bool { return !x.rate && x.Text("new") == "no" }

func (x connectionRule) says() string {
	number := "a number that is not known of"
	if x.most >= 0 {
		number = figure.Count(x.most)
		if x.rate {
			number = x.Text("rate")
		}
	}
	switch {
	case x.rate && x.seconds > 1:
		return number + " new connections in " + figure.Count(x.seconds) + " s"
	case x.rate:
		return number + " new connections a second"
	}
	return number + " connections at once"
}

func (x connectionRule) each() string {
	if x.Text("each") == "yes" {
		return ", each address or key by itself"
	}
	return ""
}

func connectionRuleGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	rules, known := r.Maybe(rulesetFact("rules"))
	legacy := r.Optional(rulesetFact("legacy"))
	silent := int64(0)
	for _, row := range r.Rows(host.RuleKind) {
		x := newConnectionRule(r, row)
		of := x.gauges(r)
		gauges = append(gauges, of...)
		if x.refuses() && !x.counted && of[0].Subject.Kind != Listener {
			silent++
		}
	}
	if silent > 0 {
		gauges = append(gauges, blind(thisNetns, 0, host.Missing{
			Fact: host.All(host.RuleKind), Why: "whether they refuse is not known of " +
				plural(silent, "rule") + " without a counter"}))
	}
	var unseen []host.Missing
	switch {
	case !known:
		unseen = append(unseen, notANumber(r, rulesetFact("rules")))
	case r.Partial(host.RuleKind) != "":
		unseen = append(unseen, host.Missing{Fact: host.All(host.RuleKind),
			Why: r.Partial(host.RuleKind)})
	}
	switch legacy {
	case "none":
	case "":
		unseen = append(unseen, notANumber(r, rulesetFact("legacy")))
	default:
		unseen = append(unseen, host.Missing{Fact: rulesetFact("legacy"),
			Why: "rules of the older iptables (iptables-legacy) are not read: " +
				"" + legacy})
	}
	if len(unseen) > 0 {
		for _, m := range []Measure{Held, PerSecond, Burst} {
			gauges = append(gauges, blind(Subject{}, Both, unseen...).of(m))
		}
	}
	if len(gauges) == 0 {
		gauges = []Gauge{{Subject: thisNetns, Unbounded: true, Steps: []Step{{
			Label: "rules, none of which counts connections", Value: rules,
			Unit: "rules", How: Read, From: "nf_tables"}}}}
	}
	return gauges
}

// gauges are one for each listener that the rule is known to bound, or one of the rule and one that
// says that it may bound others.
func (x connectionRule) gauges(r *host.Reader) (gauges []Gauge) {
	if port := x.port(); port > 0 {
		for _, g := range listenerGroups(r) {
			if strings.HasSuffix(g.name, ":"+itoa(port)) && x.covers(g.name) {
				gauges = append(gauges, x.at(g))
			}
		}
	}
	if len(gauges) > 0 {
		return gauges
	}
	g := x.gauge(Subject{Kind: Netns, Name: "rule " + x.Name()})
	g.Unbounded, g.AtMost = x.most < 0, true
	g.Ceiling = max(0, x.most)
	gauges = append(gauges, g)
	for _, m := range x.measures() {
		if x.directions() == 0 {
			break // it is of packets that pass through this host
		}
		gauges = append(gauges, Gauge{Bounds: x.directions(), Measure: m, Unbounded: true,
			AtMost: true,
			Why: "the rule " + x.Name() + " allows " + x.says() + x.each() +
				", and to which ones it applies is not known"})
	}
	return gauges
}

func (x connectionRule) measures() []Measure {
	if x.rate {
		return []Measure{PerSecond, Burst}
	}
	return []Measure{Held}
}

// covers says whether all that comes to a listener is of the rule's family.
func (x connectionRule) covers(listener string) bool {
	family, _, _ := strings.Cut(x.Name(), "/")
	return family == "inet" || family == "ip" && !strings.HasPrefix(listener, "[")
}

// at is the rule at a listener of its port.
func (x connectionRule) at(g group) Gauge {
	out := x.gauge(g.subject())
	out.Bounds, out.Ceiling = Inbound, x.most
	out.AtMost = true // other listeners of the port share it
	if !x.rate {
		out.Used = max(0, g.inbound.Sockets()-g.inbound.Count("TIME_WAIT"))
	}
	return out.withCause(x)
}

// gauge is what the rule and its counter say of a subject.
func (x connectionRule) gauge(s Subject) Gauge {
	g := Gauge{Subject: s, Measure: x.measure, Owner: "the firewall rule " + x.Name()}
	if x.most >= 0 {
		g.Steps = []Step{{Label: "the rule " + x.Name() + " allows", Value: x.most,
			Unit: "connections", How: Read, From: "nf_tables"}}
		if x.rate {
			g.Steps[0].Unit, g.Steps[0].How = "connections/s", Computed
		}
	}
	if x.refuses() && x.moved > 0 {
		g.Refusing, g.Refused = true, x.moved
	}
	g.Notice = x.refuses() && x.packets > 0 && !x.windowed
	return g.withCause(x)
}

func (g Gauge) withCause(x connectionRule) Gauge {
	if !x.rate && g.Full() && g.Ceiling > 0 && x.refuses() {
		g.Refusing = true
	}
	if !g.Refusing && !g.Notice && !g.IsNear() {
		return g
	}
	verb := map[string]string{"drop": "drops", "reject": "refuses"}[x.Text("verdict")]
	g.Cause = "the firewall rule " + x.Name() + " allows " + x.says() + x.each() + " and " +
		verb + " the packets beyond"
	if x.stallsOpenOnes() {
		g.Cause += ", those of open connections too, because it is not of new ones alone"
	}
	g.Evidence, g.Remedies = nil, nil
	if x.counted {
		value := figure.Count(x.packets)
		if x.moved > 0 {
			value += " (+" + figure.Count(x.moved) + " in the window)"
		}
		g.Evidence = []Evidence{{"nf_tables counter of " + x.Name(), value,
			"packets beyond what the rule allows, SYNs that were sent again included"}}
	}
	if x.stallsOpenOnes() {
		g.Remedies = append(g.Remedies, Remedy{
			Kind: ByTopology,
			Text: "\"ct state new\" (--syn, --ctstate NEW) before the count in the " +
				"rule " +
				x.Name() + ": then open connections go on",
			TakesEffect: Now,
		})
	}
	g.Remedies = append(g.Remedies, Remedy{
		Kind: ByTopology,
		Text: "a higher number in the rule " + x.Name() + " (nft -a list ruleset shows " +
			"it " +
			"with its handle; iptables -S), or an exception before it for the " +
			"clients " +
			"that may have more, as proxies and monitoring do",
		TakesEffect: NowForNew,
	})
	return g
}
