package observe

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/netfilter"
)

// What a snapshot shows of firewall rules and of NAT.
const (
	shownRules = 256
	shownNAT   = 64    // by entries
	maxNAT     = 65536 // rows of NAT in memory
	// With more entries than this those that are not rewritten are not gone through.
	countedEntries = 1 << 18
)

// rules records the rules of nf_tables that bear on connections.
func (s *subject) rules() {
	facts := []host.Fact{{Kind: host.RulesetKind, Name: "rules"}, host.All(host.RuleKind),
		host.All(host.SNATKind)}
	s.legacy()
	if s.withoutModule("nf_tables") {
		s.snapshot.Set(facts[0], "0")
		return
	}
	set, err := netfilter.Read(s.ctx, shownRules)
	switch {
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EPROTONOSUPPORT):
		s.snapshot.Set(facts[0], "0") // the kernel has no nf_tables (nfnetlink_rcv_msg)
		return
	case err != nil:
		s.miss(whyNoRules(err), facts...)
		return
	}
	s.snapshot.Set(facts[0], strconv.Itoa(set.Rules))
	for i, left := range []int{set.Left - set.LeftNAT, set.LeftNAT} {
		if left > 0 {
			s.miss(strconv.Itoa(left)+" further rules are not shown", facts[1+i])
		}
	}
	for _, r := range set.Bearing {
		name := r.Family + "/" + r.Table + "/" + r.Chain + "#" +
			strconv.FormatUint(r.Handle, 10)
		if r.NAT != nil {
			s.snapshot.Set(host.Fact{Kind: host.SNATKind, Name: name},
				snatFields(&r).String())
			continue
		}
		hooks := set.Hooks(netfilter.Chain{Family: r.Family, Table: r.Table, Name: r.Chain})
		s.snapshot.Set(host.Fact{Kind: host.RuleKind, Name: name},
			ruleFields(&r, hooks).String())
	}
}

// legacy records which tables of the iptables that came before nf_tables are loaded: their rules
// are not read (net/netfilter/x_tables.c xt_proto_init).
func (s *subject) legacy() {
	fact := host.Fact{Kind: host.RulesetKind, Name: "legacy"}
	var names []string
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		b, err := s.root.Read("thread-self/net/" + file)
		switch {
		case errors.Is(err, fs.ErrNotExist): // not loaded
		case err != nil:
			s.miss(whyNoRules(err), fact)
			return
		}
		names = append(names, strings.Fields(string(b))...)
	}
	slices.Sort(names)
	s.snapshot.Set(fact, cmp.Or(strings.Join(slices.Compact(names), ","), "none"))
}

func whyNoRules(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return host.HiddenRules
	}
	return why(err)
}

// withoutModule says whether a kernel of modules is known to have one neither loaded nor built in:
// asking for it would load it.
func (s *subject) withoutModule(name string) bool {
	loaded, err := s.root.Read("modules")
	release, unknown := s.root.Sysctl("kernel.osrelease")
	if err != nil || unknown != nil || len(loaded) == 0 ||
		bytes.HasPrefix(loaded, []byte(name+" ")) ||
		bytes.Contains(loaded, []byte("\n"+name+" ")) {
		return false
	}
	builtin, err := os.ReadFile(filepath.Join(filepath.Dir(s.sys()), "lib/modules", release,
		"modules.builtin"))
	return err == nil && !bytes.Contains(builtin, []byte("/"+name+".ko"))
}

func ruleFields(r *netfilter.Rule, hooks []string) host.Fields {
	count, rate := netfilter.Count{}, netfilter.Rate{}
	counts, rates := "none", "none"
	if r.Count != nil {
		count, counts = *r.Count, orUnknown(r.Count.Most)
	}
	if r.Rate != nil {
		rate, rates = *r.Rate, orUnknown(r.Rate.Packets)
	}
	packets := "none"
	if r.Counted {
		packets = strconv.FormatUint(r.Packets, 10)
	}
	return host.Fields{}.Add("count", counts).Add("rate", rates).
		AddInt("seconds", int64(rate.Seconds)).AddInt("burst", int64(rate.Burst)).
		Add("over", yesNo(count.Over || rate.Over)).
		Add("each", yesNo(count.Each || rate.Each)).
		Add("verdict", cmp.Or(r.Verdict, "unknown")).Add("packets", packets).
		Add("hooks", cmp.Or(strings.Join(hooks, ","), "unknown")).
		Add("protocol", orAny(int(r.Protocol))).Add("port", orAny(int(r.Port))).
		Add("new", yesNo(r.New)).Add("plain", yesNo(r.Plain))
}

func orUnknown(n uint64) string {
	if n == 0 {
		return "unknown"
	}
	return strconv.FormatUint(n, 10)
}

func orAny(n int) string {
	if n == 0 {
		return "any"
	}
	return strconv.Itoa(n)
}

func snatFields(r *netfilter.Rule) host.Fields {
	to, ports := "masquerade", "any"
	switch n := r.NAT; {
	case n.Masquerade:
	case !n.Low.IsValid():
		to = "same"
	case n.Low == n.High:
		to = n.Low.String()
	default:
		to = n.Low.String() + "-" + n.High.String()
	}
	switch n := r.NAT; {
	case n.Unread:
		ports = "unknown"
	case n.Ports[1] != 0:
		ports = strconv.Itoa(int(n.Ports[0])) + "-" + strconv.Itoa(int(n.Ports[1]))
	}
	return host.Fields{}.Add("to", to).Add("ports", ports).
		Add("fully_random", yesNo(r.NAT.FullyRandom)).
		Add("protocol", orAny(int(r.Protocol)))
}

// nat records how many ports of each rewritten source are in use towards each destination.
func (s *subject) nat() {
	all := host.All(host.NATKind)
	entries, known := s.snapshot.Read().Maybe(conntrackStat("entries"))
	if !known {
		entries, known = s.snapshot.Read().Maybe(
			host.Sysctl("net.netfilter.nf_conntrack_count"))
	}
	switch {
	case known && entries == 0:
		return
	case !known && host.IsAbsence(s.snapshot.Read().Why(conntrackStat("entries"))):
		return
	}
	t := natTable{}
	err := netfilter.Entries(s.ctx, true, t.begin, t.add)
	if err == nil && len(t.rows) > 0 && entries <= countedEntries {
		t.counted = true
		err = netfilter.Entries(s.ctx, false, t.beginOwn, t.addOwn)
	}
	if err != nil {
		s.miss(why(err), all)
		return
	}
	s.writeNAT(&t)
}

// natRow is the entries of one rewritten source towards one destination.
type natRow struct {
	entries, closing, unanswered, own int64
	low, high                         uint16
}

type natKey struct {
	source      netip.Addr
	destination netip.AddrPort
}

// natTable has at most maxNAT rows: when it is full, the lighter half is let go, and floor is what
// any row may lack (see peers).
type natTable struct {
	rows    map[natKey]*natRow
	floor   int64
	counted bool // own is known
}

func (t *natTable) begin() { t.rows, t.floor = map[natKey]*natRow{}, 0 }

func keyOfEntry(e netfilter.Entry) natKey { return natKey{e.Source.Addr(), e.Destination} }

func (t *natTable) add(e netfilter.Entry) {
	k := keyOfEntry(e)
	r := t.rows[k]
	if r == nil {
		if len(t.rows) >= maxNAT {
			t.halve()
		}
		r = &natRow{low: e.Source.Port()}
		t.rows[k] = r
	}
	r.entries++
	r.low, r.high = min(r.low, e.Source.Port()), max(r.high, e.Source.Port())
	switch {
	case e.State >= netfilter.FinWait && e.State <= netfilter.Close:
		r.closing++
	case e.State != netfilter.SynRecv && e.State != netfilter.Established:
		r.unanswered++
	}
}

func (t *natTable) halve() {
	var sizes []int64
	for _, r := range t.rows {
		sizes = append(sizes, r.entries)
	}
	slices.Sort(sizes)
	middle := sizes[len(sizes)/2]
	t.floor += middle
	for k, r := range t.rows {
		if r.entries <= middle {
			delete(t.rows, k)
		}
	}
}

func (t *natTable) beginOwn() {
	for _, r := range t.rows {
		r.own = 0
	}
}

func (t *natTable) addOwn(e netfilter.Entry) {
	if r := t.rows[keyOfEntry(e)]; r != nil && !e.Rewritten {
		r.own++
	}
}

// writeNAT shows the rows with most entries and says how many the others have at most.
func (s *subject) writeNAT(t *natTable) {
	keys := make([]natKey, 0, len(t.rows))
	for k := range t.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b natKey) int {
		return cmp.Or(cmp.Compare(t.rows[b].entries, t.rows[a].entries),
			a.source.Compare(b.source), a.destination.Compare(b.destination))
	})
	shown := keys[:min(shownNAT, len(keys))]
	for _, k := range shown {
		r := t.rows[k]
		f := host.Fields{}.AddInt("entries", r.entries+t.floor).
			AddInt("closing", r.closing).AddInt("unanswered", r.unanswered)
		if t.counted {
			f = f.AddInt("own", r.own)
		}
		s.snapshot.Set(host.Fact{Kind: host.NATKind,
			Name: k.source.String() + "->" + k.destination.String()},
			f.AddInt("low", int64(r.low)).AddInt("high", int64(r.high)).String())
	}
	if rest := keys[len(shown):]; len(rest) > 0 || t.floor > 0 {
		largest := t.floor
		if len(rest) > 0 {
			largest += t.rows[rest[0]].entries
		}
		s.snapshot.Set(host.Fact{Kind: host.RestKind, Name: string(host.NATKind)},
			host.Fields{}.AddInt("largest", largest).String())
	}
}
