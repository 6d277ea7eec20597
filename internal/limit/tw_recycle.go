package limit

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

const tcpRecycle = "net.ipv4.tcp_tw_recycle"

// recycleGone is the first kernel without it.
func recycleGone() string { return knob.Lookup(tcpRecycle).Until.String() }

// recycling says what net.ipv4.tcp_tw_recycle does to those who connect to this host: for
// 60 s after a connection with an address was closed here, a SYN from that address whose
// timestamp is lower, or that has none, is dropped (net/ipv4/tcp_metrics.c
// tcp_peer_is_proven, TCP_PAWS_MSL; until 4.12).
func recycling(r *host.Reader, t twReuse) Gauge {
	const name = tcpRecycle
	g := Gauge{
		// Bounds stays empty: nobody knows how many share an address
		Subject: thisNetns, Unbounded: true, Owner: name,
		Remedies: []Remedy{{Kind: BySetting, Setting: name, From: "1", To: "0",
			TakesEffect: Now,
			Text: "turn it off; TIME_WAIT then lasts its 60 s, which keeps " +
				"no client out"}},
	}
	if value := r.Optional(host.Sysctl(name)); value != "" {
		g.Remedies[0].From = value
	}
	g.Evidence = []Evidence{{name, g.Remedies[0].From, "gone since " + recycleGone()}}
	if t.stampsKnown && t.stamps == 0 {
		g.Notice, g.Cause = true, name+
			" is on and does nothing while net.ipv4.tcp_timestamps = 0; with "+
			"timestamps it drops clients behind NAT"
		return g
	}
	g.Harms = true
	g.Cause = name +
		" is on: for 60 s after a connection with an address was closed here, SYNs " +
		"from that address with an earlier timestamp " +
		"are dropped in silence, so clients behind one NAT address shut each other out"
	counter := host.Counter("TcpExt.PAWSPassive")
	total, known := r.Maybe(counter)
	moved, _ := r.Moved(counter)
	g.Refusing, g.Refused = moved > 0, max(moved, 0)
	switch {
	case moved > 0:
		g.Evidence = append(g.Evidence,
			Evidence{counter.Name, "+" + itoa(moved), "SYNs that it dropped in the " +
				"window, retransmissions included"})
	case known && total > 0:
		g.Evidence = append(g.Evidence,
			Evidence{counter.Name, itoa(total), "SYNs that it dropped in this " +
				"network namespace since it was made, retransmissions included"})
	}
	return g
}

// closingSteps is the rate at which this side closes, from what it has closed in the last 60 s.
func closingSteps(waiting int64, s twState) []Step {
	label := "closed first by this side each second, over the last 60 s"
	switch s {
	case twTaken, twPerhaps, twYoung:
		label += " (at least: ports that were taken over are no longer in TIME_WAIT)"
	case twRecycled:
		label += " (at least: with tcp_tw_recycle ports do not stay that long)"
	}
	return []Step{
		{
			Label: "ports in TIME_WAIT now",
			Value: waiting,
			Unit:  "ports",
			How:   Read,
			From:  "sock_diag",
		},
		{
			Label: label,
			Sum:   itoa(waiting) + " / " + itoa(timeWaitSeconds),
			Value: waiting / timeWaitSeconds,
			Unit:  "connections/s",
			How:   Computed,
		},
	}
}
