package dial

import (
	"net/netip"
	"time"
)

const (
	// timeWaitSeconds is TCP_TIMEWAIT_LEN, a constant of the kernel (include/net/tcp.h).
	timeWaitSeconds = 60
	// growthSeconds is the time over which a rate is taken.
	growthSeconds = 10
)

// lingering estimates how many ports are in TIME_WAIT.
func (p *pair) lingering(now time.Time) int {
	return p.lately.sum(now.Unix()-timeWaitSeconds+1, now.Unix())
}

// blocked estimates how many ports in TIME_WAIT cannot be used yet.
func (p *pair) blocked(set *settings, to netip.Addr, now time.Time) int {
	return p.lately.sum(now.Unix()-p.blockSeconds(set, to)+1, now.Unix())
}

// thawed estimates how many ports became usable again over the last growthSeconds.
func (p *pair) thawed(set *settings, to netip.Addr, now time.Time) int {
	end := now.Unix() - p.blockSeconds(set, to)
	return p.lately.sum(end-growthSeconds+1, end)
}

// blockSeconds is how long a port in TIME_WAIT cannot be used for the same destination.
// With tcp_tw_reuse that is a second (net/ipv4/tcp_ipv4.c, tcp_twsk_unique); its value 2,
// the default since Linux 4.19, is for loopback addresses only.
func (p *pair) blockSeconds(set *settings, to netip.Addr) int64 {
	loopback := to.IsLoopback() || p.source.addr.IsValid() && p.source.addr.IsLoopback()
	if set.reuse == 1 || set.reuse == 2 && loopback || p.taken != nil {
		return 1
	}
	return timeWaitSeconds
}
