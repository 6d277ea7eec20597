package observe

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// memory records the memory and the threads of the host, and what kernel objects take.
func (s *subject) memory() {
	s.meminfo()
	s.loadavg()
	s.slabs()
	s.protocols()
}

func (s *subject) meminfo() {
	facts := []host.Fact{host.Meminfo("MemTotal"), host.Meminfo("MemAvailable"),
		host.Meminfo("Slab"), host.Meminfo("SUnreclaim")}
	for _, l := range limit.Catalogue() {
		for _, f := range l.Needs {
			if f.Kind == host.MeminfoKind && f != host.All(host.MeminfoKind) {
				facts = append(facts, f)
			}
		}
	}
	b, ok := s.file("meminfo", facts...)
	if !ok {
		return
	}
	figures, err := procfs.ParseMeminfo(b)
	if err != nil {
		s.miss(err.Error(), facts...)
		return
	}
	for _, f := range facts {
		if n, ok := figures[f.Name]; ok {
			s.snapshot.Set(f, strconv.FormatUint(n, 10))
		} else {
			s.miss(host.Absent, f)
		}
	}
}

func (s *subject) loadavg() {
	f := host.Fact{Kind: host.LoadavgKind, Name: "threads"}
	b, ok := s.file("loadavg", f)
	if !ok {
		return
	}
	load, err := procfs.ParseLoadavg(b)
	if err != nil {
		s.miss(err.Error(), f)
		return
	}
	s.snapshot.Set(f, strconv.FormatUint(load.Threads, 10))
}

// slabCaches are the caches of what a connection consists of.
const slabCaches = `TCP TCPv6 sock_inode_cache dentry filp request_sock_TCP request_sock_TCPv6 tw_sock_TCP tw_sock_TCPv6
tcp_bind_bucket tcp_bind2_bucket eventpoll_epi eventpoll_pwq nf_conntrack`

func (s *subject) slabs() {
	all := host.All(host.SlabKind)
	b, ok := s.file("slabinfo", all)
	if !ok {
		return
	}
	slabs, err := procfs.ParseSlabinfo(b)
	if err != nil {
		s.miss(err.Error(), all)
		return
	}
	for name := range strings.FieldsSeq(slabCaches) {
		c, ok := slabs.Cache(name)
		if !ok {
			// merged with a cache of another name, or no such object was ever
			// made
			continue
		}
		fields := host.Fields{}.AddInt("active", count(c.ActiveObjects)).AddInt("objects",
			count(c.Objects)).AddInt("size", count(c.ObjectSize))
		s.snapshot.Set(host.Fact{Kind: host.SlabKind, Name: name}, fields.String())
	}
}

func (s *subject) protocols() {
	all := host.All(host.ProtocolKind)
	b, ok := s.file("thread-self/net/protocols", all)
	if !ok {
		return
	}
	rows, err := procfs.ParseProtocols(b)
	if err != nil {
		s.miss(err.Error(), all)
		return
	}
	for _, name := range []string{"TCP", "TCPv6"} {
		p, ok := rows.Named(name)
		if !ok {
			continue
		}
		fields := host.Fields{}.AddInt("size", count(p.Size)).AddInt("sockets", p.Sockets)
		if p.HasMemory {
			fields = fields.AddInt("memory", p.Memory)
		}
		s.snapshot.Set(host.Fact{Kind: host.ProtocolKind, Name: name}, fields.String())
	}
}

// count is a figure of the kernel as a field has it; those beyond 2^63-1 stop there.
func count(n uint64) int64 { return int64(min(n, 1<<63-1)) }

// sorted lists the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
