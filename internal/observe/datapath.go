package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/link"
)

// datapathMaps are the names of the maps of connections and of translated ports, as the kernel cuts
// them to 15 bytes: Cilium's cilium_ct4_global, cilium_ct_any4_global, cilium_snat_v4_external and
// those of IPv6 (pkg/maps/ctmap, pkg/maps/nat), Calico's cali_v4_ct and its later versions
// (felix/bpf/conntrack/map.go).
var datapathMaps = regexp.MustCompile(`^(cilium_(ct|snat)|cali_v[46]_ct)`)

// datapath records the maps of eBPF datapaths, which are the host's.
func (s *subject) datapath() {
	all := host.All(host.DatapathKind)
	if s.options.Root != "" {
		s.miss(host.Unasked, all)
		return
	}
	maps, err := bpf.Maps(datapathMaps.MatchString)
	if err != nil {
		s.miss(host.Unasked+": "+why(err), all)
	}
	for _, m := range maps {
		kind := "hash"
		if m.LRU {
			kind = "lru_hash"
		}
		row := host.Fields{}.Add("type", kind).AddInt("max", m.Max)
		if m.Err == nil {
			row = row.AddInt("entries", m.Entries)
		}
		s.snapshot.Set(host.Fact{Kind: host.DatapathKind,
			Name: fmt.Sprintf("%s:%d", m.Name, m.ID)}, row.String())
	}
}

// allowances records what drivers count of the allowances of a cloud.
func (s *subject) allowances(devices []link.Device) {
	all := host.All(host.AllowanceKind)
	var hardware []link.Device
	for _, d := range devices[:min(len(devices), shownLinks)] {
		if d.Kind == "" && !d.Loopback {
			hardware = append(hardware, d)
		}
	}
	statistics, err := link.ReadStatistics(hardware)
	if err != nil {
		s.miss(err.Error(), all)
		return
	}
	for _, d := range hardware {
		fact := host.Fact{Kind: host.AllowanceKind, Name: d.Name}
		x := statistics[d.Name]
		switch {
		case errors.Is(x.Err, link.ErrNoStatistics):
			s.miss(host.NoStatistics, fact)
		case errors.Is(x.Err, fs.ErrNotExist): // taken away meanwhile
		case x.Err != nil:
			s.miss(why(x.Err), fact)
		default:
			s.snapshot.Set(fact, allowanceFields(d, x).String())
		}
	}
}

// allowanceFields are those of a driver's counters that tell of an allowance (ENA:
// drivers/net/ethernet/amazon/ena/ena_ethtool.c ena_stats_eni_strings, ena_hw_metrics_strings;
// virtio_net: drivers/net/virtio_net.c virtnet_stats_rx_speed_desc, Linux 6.11).
func allowanceFields(d link.Device, x link.Statistics) host.Fields {
	f := host.Fields{}.AddInt("index", int64(d.Index)).Add("driver", x.Driver)
	sums := map[string]uint64{}
	for name, n := range x.Counters {
		if m := rateLimited.FindStringSubmatch(name); m != nil {
			sums[m[1]+"_ratelimit_"+m[2]] += n
		} else if strings.HasSuffix(name, "_allowance_exceeded") ||
			name == "conntrack_allowance_available" {
			sums[name] = n
		}
	}
	for _, name := range sorted(sums) {
		f = f.AddInt(name, count(sums[name]))
	}
	return f
}

// rateLimited is a counter of one queue.
var rateLimited = regexp.MustCompile(`^([rt]x)\d+_(?:hw_)?ratelimit_(packets|bytes)$`)
