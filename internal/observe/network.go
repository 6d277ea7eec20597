package observe

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// sockstat records the sockets in use of TCP, and its host-wide figures.
func (s *subject) sockstat() {
	needed := map[string][]host.Fact{
		"sockstat": {host.Sockstat("TCP.inuse"), host.Sockstat("TCP.tw"),
			host.Sockstat("TCP.orphan"), host.Sockstat("TCP.alloc"),
			host.Sockstat("TCP.mem")},
		"sockstat6": {host.Sockstat("TCP6.inuse")},
	}
	for _, name := range sorted(needed) {
		b, ok := s.file("thread-self/net/"+name, needed[name]...)
		if !ok {
			continue
		}
		reason := host.Absent
		err := procfs.ParseSockstat(b, func(proto, name, value string) {
			if proto == "TCP" || proto == "TCP6" {
				s.snapshot.Set(host.Sockstat(proto+"."+name), value)
			}
		})
		if err != nil {
			reason = err.Error()
		}
		s.miss(reason, needed[name]...)
	}
}

// softnet records the receive queues of each CPU.
func (s *subject) softnet() {
	all := host.All(host.SoftnetKind)
	b, ok := s.file("thread-self/net/softnet_stat", all)
	if !ok {
		return
	}
	rows, err := procfs.ParseSoftnet(b)
	if err != nil {
		s.miss(err.Error(), all)
		return
	}
	for i, row := range rows {
		cpu := uint64(i)
		if n, ok := row.Column(procfs.SoftnetCPU); ok {
			cpu = n
		}
		s.snapshot.Set(host.Fact{Kind: host.SoftnetKind,
			Name: "cpu" + strconv.FormatUint(cpu, 10)}, softnetFields(row).String())
	}
}

func softnetFields(row procfs.SoftnetRow) (f host.Fields) {
	for _, c := range []struct {
		name   string
		column procfs.SoftnetColumn
	}{
		{"processed", procfs.SoftnetProcessed}, {"dropped", procfs.SoftnetDropped},
		{"squeezed", procfs.SoftnetSqueezed},
		{"received_rps", procfs.SoftnetReceivedRPS},
		{"flow_limit", procfs.SoftnetFlowLimit}, {"backlog", procfs.SoftnetBacklog},
	} {
		if n, ok := row.Column(c.column); ok {
			f = f.AddInt(c.name, count(n))
		}
	}
	return f
}

// conntrack records the use of the table of connections, where there is one.
func (s *subject) conntrack() {
	const count = "net.netfilter.nf_conntrack_count"
	reason := host.Absent // CONFIG_NF_CONNTRACK_PROCFS is off
	if _, err := s.root.Sysctl(count); err != nil {
		reason = s.whyNoSysctl(count, err)
	}
	s.statTable("nf_conntrack", reason, host.ConntrackKind, "", "entries", "drop", "early_drop",
		"insert_failed")
}

// neighbours records the tables of next hops, which belong to the host and are shown in the initial
// namespace alone (net/core/neighbour.c neigh_table_init: init_net.proc_net_stat).
func (s *subject) neighbours() {
	reason := host.Absent
	switch {
	case s.child:
		reason = host.InChild
	case !s.initial:
		reason = "/proc/net/stat does not have it, as in a child network namespace"
	}
	s.statTable("arp_cache", reason, host.NeighbourKind, "arp.", "entries", "table_fulls",
		"unresolved_discards")
	s.statTable("ndisc_cache", reason, host.NeighbourKind, "ndisc.", "entries", "table_fulls",
		"unresolved_discards")
}

// routes records how many routes of IPv6 count against net.ipv6.route.max_size.
func (s *subject) routes() {
	fact := host.Fact{Kind: host.RouteKind, Name: "ipv6.entries"}
	b, err := s.root.Read("thread-self/net/rt6_stats")
	if err != nil {
		s.miss(why(err), fact) // no such file: a kernel without IPv6
		return
	}
	n, err := procfs.ParseRouteStats(b)
	if err != nil {
		s.miss(err.Error(), fact)
		return
	}
	s.snapshot.Set(fact, strconv.FormatUint(n, 10))
}

// statTable records sums of columns of a file of /proc/net/stat.
func (s *subject) statTable(file, absent string, kind host.Kind, prefix string, columns ...string) {
	facts := make([]host.Fact, len(columns))
	for i, c := range columns {
		facts[i] = host.Fact{Kind: kind, Name: prefix + c}
	}
	b, err := s.root.Read("thread-self/net/stat/" + file)
	if err != nil {
		reason := why(err)
		if reason == host.Absent {
			reason = absent
		}
		s.miss(reason, facts...)
		return
	}
	t, err := procfs.ParseTable(b)
	if err != nil {
		s.miss(err.Error(), facts...)
		return
	}
	for i, c := range columns {
		if n, ok := t.Total(c); ok {
			s.snapshot.Set(facts[i], strconv.FormatUint(n, 10))
		} else {
			s.miss(host.Absent, facts[i])
		}
	}
}

// alwaysCounted are the counters that are kept although no limit needs them: what people look at
// when connections fail.
const alwaysCounted = `
Tcp.ActiveOpens Tcp.PassiveOpens Tcp.AttemptFails Tcp.EstabResets Tcp.CurrEstab Tcp.InSegs
Tcp.OutSegs Tcp.RetransSegs Tcp.InErrs Tcp.OutRsts
TcpExt.SyncookiesSent TcpExt.SyncookiesRecv TcpExt.SyncookiesFailed TcpExt.EmbryonicRsts
TcpExt.PruneCalled TcpExt.RcvPruned TcpExt.OfoPruned
TcpExt.OutOfWindowIcmps TcpExt.LockDroppedIcmps TcpExt.TW TcpExt.TWRecycled TcpExt.TWKilled
TcpExt.PAWSActive TcpExt.PAWSEstab TcpExt.BeyondWindow
TcpExt.ListenOverflows TcpExt.ListenDrops TcpExt.TCPTimeouts TcpExt.TCPLossProbes
TcpExt.TCPSynRetrans TcpExt.TCPBacklogDrop TcpExt.PFMemallocDrop
TcpExt.TCPMinTTLDrop TcpExt.TCPDeferAcceptDrop TcpExt.IPReversePathFilter
TcpExt.TCPTimeWaitOverflow TcpExt.TCPReqQFullDoCookies TcpExt.TCPReqQFullDrop
TcpExt.TCPAbortOnData TcpExt.TCPAbortOnClose TcpExt.TCPAbortOnMemory TcpExt.TCPAbortOnTimeout
TcpExt.TCPAbortOnLinger TcpExt.TCPAbortFailed
TcpExt.TCPMemoryPressures TcpExt.TCPMemoryPressuresChrono TcpExt.TCPRcvQDrop
TcpExt.TCPZeroWindowDrop TcpExt.TCPRcvCollapsed TcpExt.TCPWqueueTooBig
TcpExt.TCPOFODrop TcpExt.TCPKeepAlive TcpExt.TCPChallengeACK TcpExt.TCPMigrateReqSuccess
TcpExt.TCPMigrateReqFailure TcpExt.TCPPLBRehash
Ip.InReceives Ip.InDiscards Ip.OutDiscards Ip.OutNoRoutes
`

// counters reads /proc/net/snmp and netstat, and keeps what limits need and the ones above. A
// counter that this kernel lacks is recorded as such if some limit needs it.
func (s *subject) counters() {
	wanted := map[string]bool{}
	for name := range strings.FieldsSeq(alwaysCounted) {
		wanted[name] = true
	}
	var needed []host.Fact
	for _, l := range limit.Catalogue() {
		for _, f := range l.Needs {
			if f.Kind == host.CounterKind && f != host.All(host.CounterKind) {
				needed = append(needed, f)
				wanted[f.Name] = true
			}
		}
	}
	reason := host.Absent
	for _, name := range []string{"snmp", "netstat"} {
		b, err := s.root.Read("thread-self/net/" + name)
		if err == nil {
			err = procfs.ParseCounters(b, func(proto, name, value string) {
				if full := proto + "." + name; wanted[full] {
					s.snapshot.Set(host.Counter(full), value)
				}
			})
		}
		if err != nil {
			reason = whyNoFile("thread-self/net/"+name, err)
		}
	}
	s.miss(reason, needed...)
}
