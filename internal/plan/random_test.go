package plan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// recordedHosts are the snapshots that people recorded.
func recordedHosts(t testing.TB) (hosts []host.Snapshot) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/hosts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded hosts: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := host.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		hosts = append(hosts, s)
	}
	return hosts
}

// generator makes hosts and workloads that nobody thought of.
type generator struct {
	*rand.Rand
	hosts []host.Snapshot
}

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

// number is spread evenly over its orders of magnitude.
func (g generator) number(most int64) int64 {
	n := int64(1)
	for n*4 < most && g.IntN(4) > 0 {
		n *= 4
	}
	return min(n+g.Int64N(3*n+1), most)
}

func (g generator) text(most int64) string { return strconv.FormatInt(g.number(most), 10) }

// host is a recorded one with some of its facts changed, hidden, or added to.
func (g generator) host() host.Snapshot {
	s := g.hosts[g.IntN(len(g.hosts))].With()
	for range g.IntN(12) {
		g.mutate(&s)
	}
	return s
}

// mutate changes one thing.
func (g generator) mutate(s *host.Snapshot) {
	facts := s.Facts()
	set := func(name string, values ...string) { s.Set(host.Sysctl(name), g.pick(values...)) }
	switch g.IntN(19) {
	case 0:
		low := 1024 + g.IntN(60000)
		s.Set(host.Sysctl("net.ipv4.ip_local_port_range"),
			fmt.Sprintf("%d %d", low, min(low+g.IntN(40000), 65535)))
	case 1:
		s.Set(host.Sysctl("net.ipv4.ip_local_reserved_ports"), g.ports())
	case 2:
		set("net.core.somaxconn", "8", "128", "1024", "4096", "65535", "2147483647")
	case 3:
		set("net.ipv4.tcp_tw_reuse", "0", "1", "2")
		set("net.ipv4.tcp_timestamps", "0", "1", "2")
	case 4:
		set("net.ipv4.tcp_syncookies", "0", "0", "1", "2")
		s.Set(host.Sysctl("net.ipv4.tcp_max_syn_backlog"), g.text(1<<16))
	case 5:
		set("fs.nr_open", "1024", "1048576", "2147483584", "1000000")
	case 6:
		s.Set(host.Sysctl("fs.file-max"), g.text(1<<40))
	case 7:
		most := g.number(1 << 24)
		s.Set(host.Sysctl("net.netfilter.nf_conntrack_max"), strconv.FormatInt(most, 10))
		s.Set(host.Sysctl("net.netfilter.nf_conntrack_buckets"), g.text(1<<24))
		s.Set(host.Sysctl("net.netfilter.nf_conntrack_count"),
			strconv.FormatInt(g.Int64N(most+1), 10))
		set("net.netfilter.nf_conntrack_tcp_timeout_time_wait", "1", "30", "120")
	case 8:
		s.Set(host.System("scope"), g.pick("initial", "child"))
	case 9:
		s.Set(host.System("kernel"), g.pick("4.4.0", "4.15.0-54-generic", "5.4.0", "5.10.0",
			"6.1.0-18-amd64", "6.18.9", "strange"))
	case 10:
		s.Hide(facts[g.IntN(len(facts))], "hidden by the test")
	case 11:
		s.Set(host.Ports("listening"), g.ports())
	case 12:
		s.Set(host.Ports("bound"), g.ports())
		s.Set(host.System("bound-sockets"), "listed")
	case 13:
		s.Set(host.Sysctl("fs.epoll.max_user_watches"), g.text(1<<24))
	case 14:
		s.Set(host.Sysctl("net.ipv4.ip_unprivileged_port_start"),
			g.pick("0", "80", "1024", "2000", "40000"))
	case 15:
		n := 3 + g.number(1<<22)
		s.Set(host.Sysctl("net.ipv4.tcp_mem"), fmt.Sprint(n/2, n*2/3, n))
		s.Set(host.Sockstat("TCP.mem"), g.text(2*n))
		s.Set(host.Meminfo("MemAvailable"), g.text(1<<26))
	case 16:
		set("net.core.netdev_max_backlog", "100", "1000", "3000", "4096", "30000")
		s.Set(host.System("window"), "10s")
		for _, row := range s.Read().Rows(host.SoftnetKind) {
			s.Set(host.Fact{Kind: host.MovedKind,
				Name: "softnet/" + row.Name() + "/dropped"}, g.text(1000))
		}
		for _, row := range s.Read().Rows(host.LinkKind) {
			s.Set(host.Fact{Kind: host.MovedKind,
				Name: "link/" + row.Name() + "/rx_dropped"}, g.text(1000))
		}
	default:
		g.row(s, facts[g.IntN(len(facts))])
	}
}

// row changes fields of a row of a table, or adds a member to a listener's group.
func (g generator) row(s *host.Snapshot, f host.Fact) {
	set := func(field, value string) {
		*s = s.With(host.Setting{Fact: host.Fact{Kind: f.Kind, Name: f.Name + "#" + field},
			Want: value})
	}
	switch f.Kind {
	case host.ProcessKind:
		hard := g.number(1 << 21)
		set("hard", g.pick(strconv.FormatInt(hard, 10), "unlimited"))
		set("soft", strconv.FormatInt(1+g.Int64N(hard), 10))
		set("files", g.text(hard))
		set("epoll", g.pick("0", "1"))
		set("name", g.pick("nginx", "app", "redis-server"))
	case host.ListenerKind:
		set("limit", g.text(1<<16))
		set("queue", g.text(1<<8))
		if x, _ := s.Lookup(f); g.IntN(2) == 0 && !strings.Contains(f.Name, "~") {
			s.Set(host.Fact{Kind: f.Kind, Name: f.Name + "~2"}, x.Text)
		}
	case host.OutboundKind, host.InboundKind:
		set("ESTABLISHED", g.text(1<<16))
		set("ranged", g.text(1<<16))
		set("timestamps", g.pick("yes", "no"))
	case host.CgroupKind:
		set("memory_max", g.pick("max", g.text(1<<34)))
	}
}

func (g generator) ports() string {
	var p host.PortSet
	for range g.IntN(6) {
		first := g.IntN(65536)
		for port := first; port < min(first+g.IntN(2000), 65536); port++ {
			p.Add(uint16(port))
		}
	}
	return p.String()
}

// workload wants something of what the host has, and of what it has not.
func (g generator) workload(s host.Snapshot) (w limit.Workload) {
	r := s.Read()
	var listeners, destinations []string
	for _, row := range r.Rows(host.ListenerKind) {
		name, _, _ := strings.Cut(row.Name(), "~")
		listeners = append(listeners, name, name[strings.LastIndexByte(name, ':'):])
	}
	for _, row := range r.Rows(host.OutboundKind) {
		if _, d, ok := strings.Cut(row.Name(), "->"); ok {
			destinations = append(destinations, d)
		}
	}
	destinations = append(destinations, "198.51.100.7:443", "198.51.100.8:443")
	for range 1 + g.IntN(3) {
		if len(listeners) > 0 && g.IntN(2) == 0 {
			w.Inbound = append(w.Inbound, g.goal(g.pick(listeners...), true))
		} else {
			w.Outbound = append(w.Outbound, g.goal(g.pick(destinations...), false))
		}
	}
	return w
}

func (g generator) goal(subject string, inbound bool) limit.Goal {
	goal := limit.Goal{Subject: subject}
	switch n := g.IntN(3); {
	case n == 0:
		goal.PerSecond = g.number(1 << 17)
	case n == 1 && inbound:
		goal.Burst = g.number(1 << 17)
	default:
		goal.Held = g.number(1 << 22)
	}
	return goal
}
