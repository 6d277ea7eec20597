package observe

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/link"
)

// What a snapshot shows of a host with very many devices.
const (
	shownLinks     = 1024
	shownQdiscs    = 1024
	shownAddresses = 1024
)

// links records devices with their queues and addresses, and counts neighbours.
func (s *subject) links() {
	report, err := link.List(s.sys())
	if err != nil {
		s.miss(err.Error(), host.All(host.LinkKind), host.All(host.QdiscKind),
			host.All(host.AddressKind), ownNeighbours("ipv4"), ownNeighbours("ipv6"),
			host.All(host.UnresolvedKind))
		return
	}
	for _, m := range report.Missing {
		switch m.Fact {
		case "qdiscs":
			s.miss(m.Err.Error(), host.All(host.QdiscKind))
		case "addresses":
			s.miss(m.Err.Error(), host.All(host.AddressKind))
		case "neighbours":
			s.miss(m.Err.Error(), ownNeighbours("ipv4"), ownNeighbours("ipv6"),
				host.All(host.UnresolvedKind))
		}
	}
	s.writeLinks(report.Devices)
	s.writeAddresses(report.Devices)
	s.writeNeighbours(report.Devices)
	s.keepUnresolved(report.Devices)
	s.allowances(report.Devices)
}

// sys is where sysfs is mounted: beside proc.
func (s *subject) sys() string {
	if s.root == "" {
		return "/sys"
	}
	return filepath.Join(filepath.Dir(string(s.root)), "sys")
}

func ownNeighbours(family string) host.Fact {
	return host.Fact{Kind: host.NeighbourKind, Name: "own." + family}
}

func (s *subject) writeLinks(devices []link.Device) {
	qdiscs := 0
	for i, d := range devices {
		if i == shownLinks {
			s.miss(fmt.Sprintf("%d further devices are not shown", len(devices)-i),
				host.All(host.LinkKind))
			break
		}
		s.snapshot.Set(host.Fact{Kind: host.LinkKind, Name: d.Name}, linkFields(d).String())
		for _, q := range d.Qdiscs {
			if qdiscs++; qdiscs > shownQdiscs {
				s.miss(fmt.Sprintf("more than %d queueing disciplines",
					shownQdiscs), host.All(host.QdiscKind))
				break
			}
			s.snapshot.Set(host.Fact{Kind: host.QdiscKind,
				Name: d.Name + "/" + qdiscName(q)}, qdiscFields(d, q).String())
		}
	}
}

func linkFields(d link.Device) host.Fields {
	kind := d.Kind
	if kind == "" {
		kind = "hardware"
	}
	return host.Fields{}.AddInt("index", int64(d.Index)).Add("kind", kind).Add("up",
		yesNo(d.Up)).
		AddInt("mtu", int64(d.MTU)).AddInt("txqueuelen", int64(d.TxQueueLen)).Add("qdisc",
		d.RootQdisc).AddInt("addresses", int64(len(d.Addresses))).
		AddInt("rx_dropped", count(d.Stats.RxDropped)).AddInt("tx_dropped",
		count(d.Stats.TxDropped)).Add("backlog", backlog(d.Backlog))
}

// backlog is which way received packets take, "" where that is not known.
func backlog(b link.Backlog) string {
	switch b.Path {
	case link.PathShared:
		if strings.HasPrefix(b.Why, "receive packet steering") {
			return "rps"
		}
		return "netif_rx"
	case link.PathSome:
		return "netif_rx"
	case link.PathCells:
		return "gro_cells"
	case link.PathNone:
		return "napi"
	}
	return ""
}

// qdiscName is the handle; the disciplines below mq have none, but a class each.
func qdiscName(q link.Qdisc) string {
	if q.Handle == 0 {
		return link.HandleString(q.Parent)
	}
	return link.HandleString(q.Handle)
}

func qdiscFields(d link.Device, q link.Qdisc) host.Fields {
	f := host.Fields{}.Add("kind", q.Kind).Add("link", d.Name)
	if q.Limit != nil {
		f = f.AddInt("limit", count(q.Limit.Value)).Add("unit", q.Limit.Unit)
	}
	if q.Stats != nil {
		f = f.AddInt("backlog", int64(q.Stats.Queued)).AddInt("packets",
			count(q.Stats.Packets)).AddInt("drops",
			int64(q.Stats.Drops)).AddInt("overlimits", int64(q.Stats.Overlimits))
	}
	return f.Add("root", yesNo(q.Root()))
}

func (s *subject) writeAddresses(devices []link.Device) {
	n := 0
	for _, d := range devices {
		for _, a := range d.Addresses {
			if !a.Usable() {
				continue
			}
			if n++; n > shownAddresses {
				s.miss(fmt.Sprintf("more than %d local addresses", shownAddresses),
					host.All(host.AddressKind))
				return
			}
			s.snapshot.Set(host.Fact{Kind: host.AddressKind,
				Name: a.Prefix.Addr().String()},
				host.Fields{}.Add("link", d.Name).String())
		}
	}
}

func (s *subject) writeNeighbours(devices []link.Device) {
	v4, v6 := 0, 0
	for _, d := range devices {
		if d.Neighbours == nil {
			return // Missing says why
		}
		v4 += d.Neighbours.V4.Entries
		v6 += d.Neighbours.V6.Entries
	}
	s.snapshot.Set(ownNeighbours("ipv4"), strconv.Itoa(v4))
	s.snapshot.Set(ownNeighbours("ipv6"), strconv.Itoa(v6))
}
