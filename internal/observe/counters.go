package observe

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// alwaysCounted are the counters that are kept although no limit needs them: what people look at
// when connections fail.
const alwaysCounted = `
Tcp.ActiveOpens Tcp.PassiveOpens Tcp.AttemptFails Tcp.EstabResets Tcp.CurrEstab Tcp.InSegs Tcp.OutSegs Tcp.RetransSegs Tcp.InErrs Tcp.OutRsts
TcpExt.SyncookiesSent TcpExt.SyncookiesRecv TcpExt.SyncookiesFailed TcpExt.EmbryonicRsts TcpExt.PruneCalled TcpExt.RcvPruned TcpExt.OfoPruned
TcpExt.OutOfWindowIcmps TcpExt.LockDroppedIcmps TcpExt.TW TcpExt.TWRecycled TcpExt.TWKilled TcpExt.PAWSActive TcpExt.PAWSEstab TcpExt.BeyondWindow
TcpExt.ListenOverflows TcpExt.ListenDrops TcpExt.TCPTimeouts TcpExt.TCPLossProbes TcpExt.TCPSynRetrans TcpExt.TCPBacklogDrop TcpExt.PFMemallocDrop
TcpExt.TCPMinTTLDrop TcpExt.TCPDeferAcceptDrop TcpExt.IPReversePathFilter TcpExt.TCPTimeWaitOverflow TcpExt.TCPReqQFullDoCookies TcpExt.TCPReqQFullDrop
TcpExt.TCPAbortOnData TcpExt.TCPAbortOnClose TcpExt.TCPAbortOnMemory TcpExt.TCPAbortOnTimeout TcpExt.TCPAbortOnLinger TcpExt.TCPAbortFailed
TcpExt.TCPMemoryPressures TcpExt.TCPMemoryPressuresChrono TcpExt.TCPRcvQDrop TcpExt.TCPZeroWindowDrop TcpExt.TCPRcvCollapsed TcpExt.TCPWqueueTooBig
TcpExt.TCPOFODrop TcpExt.TCPKeepAlive TcpExt.TCPChallengeACK TcpExt.TCPMigrateReqSuccess TcpExt.TCPMigrateReqFailure TcpExt.TCPPLBRehash
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
