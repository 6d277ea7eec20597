package observe

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/link"
	"github.com/maxconn/maxconn/internal/linux/route"
)

// What is looked at of neighbours that are being asked for.
const (
	shownUnresolved = 64
	routedPeers     = 64 // destinations with most connections under way
)

// asked is a neighbour whose hardware address is being asked for.
type asked struct {
	device  string
	address netip.Addr
}

// keepUnresolved keeps the neighbours without a hardware address until the connections are counted.
func (s *subject) keepUnresolved(devices []link.Device) {
	for _, d := range devices {
		if d.Neighbours == nil {
			continue
		}
		for _, a := range d.Neighbours.Unresolved {
			s.asked = append(s.asked, asked{d.Name, a})
		}
		s.devices = append(s.devices, device{d.Index, d.Name})
	}
}

type device struct {
	index int
	name  string
}

// unresolved records the neighbours that are being asked for, with the connections that wait.
func (s *subject) unresolved() {
	if len(s.asked) == 0 {
		return
	}
	waiting := s.waiting()
	slices.SortFunc(s.asked, func(a, b asked) int {
		return cmp.Or(cmp.Compare(waiting[b], waiting[a]), a.address.Compare(b.address),
			cmp.Compare(a.device, b.device))
	})
	if len(s.asked) > shownUnresolved {
		s.snapshot.Set(host.Fact{Kind: host.RestKind, Name: string(host.UnresolvedKind)},
			host.Fields{}.AddInt("largest", waiting[s.asked[shownUnresolved]]).String())
	}
	for _, a := range s.asked[:min(shownUnresolved, len(s.asked))] {
		fact := host.Fact{Kind: host.UnresolvedKind, Name: a.address.String()}
		family := "ipv4"
		if a.address.Is6() {
			family = "ipv6"
		}
		f := host.Fields{}.Add("link", a.device).AddInt("syn_sent", waiting[a])
		queue, err := s.root.Sysctl(knob.KeyAt("net/" + family + "/neigh/" + a.device +
			"/unres_qlen_bytes"))
		if err == nil {
			f = f.Add("queue", queue)
		}
		s.snapshot.Set(fact, f.String())
	}
}

// waiting are the connections under way by the neighbour that their SYN goes to.
func (s *subject) waiting() map[asked]int64 {
	rows := s.snapshot.Read().Rows(host.OutboundKind)
	slices.SortStableFunc(rows, func(a, b host.Row) int {
		return cmp.Compare(b.Count("SYN_SENT"), a.Count("SYN_SENT"))
	})
	found := map[asked]int64{}
	for _, row := range rows[:min(routedPeers, len(rows))] {
		n := row.Count("SYN_SENT")
		from, to, _ := strings.Cut(row.Name(), "->")
		source, err1 := netip.ParseAddr(from)
		destination, err2 := netip.ParseAddrPort(to)
		if n == 0 || err1 != nil || err2 != nil {
			continue
		}
		hop, err := route.Next(destination.Addr(), source)
		if err != nil || !hop.Address.IsValid() {
			continue
		}
		found[asked{s.deviceName(hop.Device), hop.Address}] += n
	}
	return found
}

func (s *subject) deviceName(index int) string {
	for _, d := range s.devices {
		if d.index == index {
			return d.name
		}
	}
	return ""
}
