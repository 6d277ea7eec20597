package limit

import "github.com/maxconn/maxconn/internal/host"

// synLift makes room for half-open connections where a full queue drops them: with SYN cookies off.
type synLift struct {
	queueLift
	syn synGroup
}

func newSynLift(r *host.Reader, q synGroup) synLift { return synLift{newQueueLift(r, q.group), q} }

// to takes the two ceilings apart: tcp_max_syn_backlog, which acts only without cookies,
// and the backlog.
func (l synLift) to(need int64) (out []Remedy) {
	const name = "net.ipv4.tcp_max_syn_backlog"
	n := int64(len(l.group.members))
	each := eachQueue(int(n), min(need, most))
	if l.syn.refuses() && l.syn.maxKnown && l.syn.admitted() < each {
		to := min(roundUp(((each-1)*4+2)/3), mostBacklog)
		m := Remedy{Kind: BySetting, Setting: name, From: itoa(l.syn.max), To: itoa(to),
			TakesEffect: Now,
			Text: "while SYN cookies are off: let the backlog be the " +
				"ceiling; with tcp_syncookies = 1 it has no effect and a full " +
				"queue drops nobody",
			Sum: plural(each, "half-open connection") +
				", of which value - value/4 + 1 are allowed, up to the next " +
				"power of two",
			Cost: "none by itself; a half-open connection takes about 300 bytes " +
				"of kernel memory",
			Risk: "with SYN cookies off forged SYNs can take as many places; " +
				"tcp_syncookies = 1 is the other way",
			Lasts: untilBoot,
		}
		if l.syn.max < to {
			m.Change = host.Setting{Fact: host.Sysctl(name), Want: m.To}
		}
		out = append(out, m)
	}
	if l.syn.oneMore != host.Yes {
		need = min(need, most) + n // there the queue holds its limit and no more
	}
	return append(out, l.queueLift.to(need)...)
}
