package limit

import (
	"sort"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// The ports that a range is ever proposed for: the well-known ones below are left alone.
const (
	firstPort = 1024
	lastPort  = 65535
)

// wider is the settings with which the range has need ports, as a plan sets them; none where it
// has them, or cannot have them, or where the sockets have a range of their own.
func (p pool) wider(need int64) []Remedy {
	if p.band {
		return nil
	}
	return settingsOnly(p.lift(need))
}

// lost is how many ports of the range connect() cannot choose.
func (p pool) lost() int64 { return p.size - p.usable }

// lift is the smallest range that holds what is needed, with the servers inside it
// reserved, or, beyond all ports, how many source addresses or destinations it takes.
func (p pool) lift(need int64) []Remedy {
	if need <= p.usable {
		return nil
	}
	for _, margin := range []int64{need / 10, 0} {
		if low, high, usable := p.stretch(need + margin); usable >= need+margin {
			return p.widen(low, high, usable, need, margin)
		}
	}
	low, high, widest := p.stretch(lastPort)
	widest = max(widest, 1)
	return []Remedy{{
		Kind: ByTopology, TakesEffect: AtConnect,
		Text: figure.Count((need-1)/widest+1) +
			" source addresses (bind with IP_BIND_ADDRESS_NO_PORT) or as many " +
			"destination addresses or ports: with the widest range, " +
			itoa(low) + " " + itoa(high) + ", each pair has " + plural(widest, "port"),
	}, {
		Kind:        ByApplication,
		Text:        "keep connections and use them again, so that fewer are needed",
		TakesEffect: AtStart,
	}}
}

// stretch widens the range until it has as many usable ports, or cannot be wider: upwards
// first, where few servers listen, then down to the floor. The low end keeps its parity,
// because connect() and bind(0) each take one parity first; the high end takes the other,
// as the kernel asks for in its log.
func (p pool) stretch(need int64) (low, high, usable int64) {
	low, high, usable = p.low, p.high, p.usable
	if p.size < 4 {
		usable = p.size - p.reserved - p.held // a range of three uses two: see portPool
	}
	f := p.ports.counts()
	if need > usable && high < lastPort {
		end := f.upward(high+1, need-usable)
		usable, high = usable+f.free(high+1, end), end
	}
	if need > usable && low > p.floor {
		end := f.downward(low-1, p.floor, need-usable)
		usable, low = usable+f.free(end, low-1), end
	}
	if (low-p.low)%2 != 0 && low > p.floor {
		low--
		usable += f.free(low, low)
	}
	if (high-low)%2 == 0 && high < lastPort {
		high++
		usable += f.free(high, high)
	}
	return low, high, usable
}

// freeCounts are the ports below each port that connect() may choose.
type freeCounts [lastPort + 2]int32

// counts is made once, for all ranges that are tried.
func (s *portSets) counts() *freeCounts {
	if s.below == nil {
		s.below = &freeCounts{}
		for port := range lastPort + 1 {
			s.below[port+1] = s.below[port]
			if !s.taken.Has(uint16(port)) {
				s.below[port+1]++
			}
		}
	}
	return s.below
}

// free is how many ports from low to high connect() may choose.
func (f *freeCounts) free(low, high int64) int64 { return int64(f[high+1] - f[low]) }

// upward is the first port from low on up to which there are as many, or the last port.
func (f *freeCounts) upward(low, many int64) int64 {
	return low + int64(sort.Search(int(lastPort-low), func(i int) bool {
		return f.free(low, low+int64(i)) >= many
	}))
}

// downward is the last port from high on down to which there are as many, or the floor.
func (f *freeCounts) downward(high, floor, many int64) int64 {
	return high - int64(sort.Search(int(high-floor), func(i int) bool {
		return f.free(high-int64(i), high) >= many
	}))
}

// widen is the range, after its servers have been reserved: a write to the list replaces
// it, so it is written whole.
func (p pool) widen(low, high, usable, need, margin int64) (out []Remedy) {
	lists := p.ports
	servers := lists.listening.Within(low, high).Union(lists.bound.Within(low, p.low-1)).Union(
		lists.bound.Within(p.high+1, high))
	if list := lists.reserved.Union(servers); list != lists.reserved {
		out = append(out, Remedy{
			Kind: BySetting, Setting: reservedPorts.Name, From: lists.reserved.String(),
			To: list.String(), TakesEffect: Now,
			Text: "reserve the ports of servers that the wider range covers, so " +
				"that no connection takes them while a server restarts",
			Change: host.Setting{Fact: reservedPorts, Want: list.String()},
			Sum: "the list as it is and " + plural(list.Len()-lists.reserved.Len(),
				"port") + " from " + itoa(low) + " to " + itoa(high) +
				" that something listens on or is bound to now",
			Cost: "none",
			Risk: "programs that do not run now are not in the list: add the " +
				"ports of such servers",
			Lasts: untilBoot,
		})
	}
	size := high - low + 1
	to := itoa(low) + " " + itoa(high)
	return append(out, Remedy{
		Kind: BySetting, Setting: portRange.Name, From: itoa(p.low) + " " + itoa(p.high),
		To: to, TakesEffect: Now,
		Text: "the smallest range with " + plural(need, "port") + margined(margin) +
			", with the ports that servers of this host use put into " +
			"net.ipv4.ip_local_reserved_ports first",
		Change: host.Setting{Fact: portRange, Want: to},
		Sum: figure.Count(need) + " ports" + margined(margin) + "; " + itoa(high) +
			" - " + itoa(low) + " + 1 = " + figure.Count(size) + ", of which " +
			figure.Count(size-usable) + " are reserved or taken",
		Cost:  "none by itself",
		Risk:  p.newcomers(low, high),
		Lasts: untilBoot,
	})
}

// untilBoot is how long a sysctl holds that nobody writes into a file.
const untilBoot = "until the next boot, or until something else writes it"

// margined names a tenth on top.
func margined(margin int64) string {
	if margin == 0 {
		return " (no port is left for a margin)"
	}
	return " and 10 %"
}

// newcomers warns of what cannot be seen: servers that do not run now.
func (p pool) newcomers(low, high int64) string {
	text := "a connection may take a port of the range that a server wants which does not " +
		"run now (EADDRINUSE); UDP uses the same range"
	if low < 32768 && p.low > 30000 && high > 30000 {
		text += "; a node of Kubernetes gives out 30000-32767 as NodePorts"
	}
	return text
}
