package limit

import (
	"time"

	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// reuseRemedies are the settings that make tcp_tw_reuse act; none where they cannot be read.
func reuseRemedies(t twReuse, s twState) []Remedy {
	switch {
	case s == twNoTimestamps:
		return []Remedy{turnTimestampsOn()}
	case s == twYoung:
		return []Remedy{t.shortenDelay()}
	case s == twPeerNoTimestamps, s == twPerhaps, s == twIdle:
		return []Remedy{{
			Kind: ByTopology,
			Text: "turn TCP timestamps on at the peer, or at the proxy or " +
				"firewall on the way that takes them out; tcp_tw_reuse then acts",
			TakesEffect: AtConnect,
		}}
	case s != twOff && s != twLoopbackOnly, !t.stampsKnown:
		return nil
	case t.stamps == 0:
		return []Remedy{turnTimestampsOn(), t.turnReuseOn()}
	}
	return []Remedy{t.turnReuseOn()}
}

// shortenDelay goes back to the default; a delay below it is no fault of the setting.
func (t twReuse) shortenDelay() Remedy {
	const usual = 1000
	if t.delay <= usual {
		return Remedy{Kind: ByApplication, TakesEffect: AtStart,
			Text: "open connections more slowly: no port comes back sooner than " +
				seconds(t.delay) + " after it was closed"}
	}
	return Remedy{Kind: BySetting, Setting: reuseDelay.Name, From: itoa(t.delay),
		To: itoa(usual), TakesEffect: AtConnect,
		Text: "let connect() take ports over after 1 s, the default, in place of " +
			seconds(t.delay),
		Change: host.Setting{Fact: reuseDelay, Want: itoa(usual)},
		Sum:    "a port comes back 1 s after it was closed in place of " + seconds(t.delay),
		Cost:   "none",
		Risk:   "the timestamp clock of a peer may tick less often than once a second",
		Lasts:  untilBoot,
	}
}

func turnTimestampsOn() Remedy {
	const name = "net.ipv4.tcp_timestamps"
	return Remedy{Kind: BySetting, Setting: name, From: "0", To: "1",
		TakesEffect: NowForNew, OldLast: timeWaitSeconds * time.Second,
		Text: "turn timestamps on, here and at the peer, so that connect() can " +
			"take ports over; those that are in TIME_WAIT now stay for their 60 s",
		Change: host.Setting{Fact: host.Sysctl(name), Want: "1"},
		Sum:    "without timestamps tcp_tw_reuse does nothing",
		Cost:   "none; 12 bytes in each packet",
		Risk: "no effect where the peer, or a firewall on the way, does not do " +
			"timestamps",
		Lasts: untilBoot,
	}
}

func (t twReuse) turnReuseOn() Remedy {
	const name = "net.ipv4.tcp_tw_reuse"
	return Remedy{Kind: BySetting, Setting: name, From: itoa(t.mode), To: "1",
		TakesEffect: AtConnect,
		Text: "let connect() take ports over " + seconds(t.delay) +
			" after they closed, where both ends use timestamps; only the " +
			"timestamps then tell late packets of the old connection apart",
		Change: host.Setting{Fact: host.Sysctl(name), Want: "1"},
		Sum: "1 is for all destinations; a port comes back " + seconds(t.delay) +
			" after it was closed (" + t.delayFrom + ") in place of 60 s",
		Cost: "none",
		Risk: "no effect where the peer, or a firewall on the way, does not do " +
			"timestamps; only they then tell late packets of the old connection apart",
		Lasts: untilBoot,
	}
}

// liftRate picks from the remedies what would allow need connections per second: more ports where
// that is enough, else tcp_tw_reuse, and what the application or the topology can do in any case.
func liftRate(p pool, t twReuse, s twState, remedies []Remedy, need int64) (out []Remedy) {
	_, _, widest := p.stretch(lastPort)
	need = min(need, most)
	byBoth := t.couldReuse(s) && widest*1000/t.delay >= need
	byPorts := widest*1000/t.period(s) >= need
	byReuse := p.usable*1000/t.delay >= need
	ports := (need*t.period(s) + 999) / 1000
	if !byPorts {
		ports = (need*t.delay + 999) / 1000
	}
	if byPorts || byBoth && !byReuse { // the latter: neither alone is enough
		out = p.wider(ports)
	}
	for _, m := range remedies {
		isPorts := strings.HasPrefix(m.Setting, "net.ipv4.ip_local_")
		if m.Kind != BySetting || !isPorts && byBoth && !byPorts {
			out = append(out, m)
		}
	}
	return out
}

func settingsOnly(remedies []Remedy) (out []Remedy) {
	for _, m := range remedies {
		if m.Kind == BySetting {
			out = append(out, m)
		}
	}
	return out
}
