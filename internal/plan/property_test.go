package plan

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// cases is how many random hosts and workloads are tried.
const cases = 3000

// one is a random case.
type one struct {
	now, then host.Snapshot // before and after the plan
	w         limit.Workload
	o         Options
	plan      Plan
}

// TestProperties makes plans for many random hosts and workloads. A failure names the seed.
func TestProperties(t *testing.T) {
	hosts := recordedHosts(t)
	n := uint64(cases)
	if testing.Short() {
		n /= 10
	}
	var seen tally
	t.Cleanup(func() { seen.check(t, n) })
	const share = 500
	for first := uint64(0); first < n; first += share {
		t.Run(strconv.FormatUint(first, 10), func(t *testing.T) {
			t.Parallel()
			for seed := first; seed < min(first+share, n) && !t.Failed(); seed++ {
				testCase(t, seed, generator{rand.New(rand.NewPCG(seed, 11)), hosts},
					&seen)
			}
		})
	}
}

// tally counts what the random cases led to, so that no property holds for want of a case.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (y *tally) add(p Plan) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.counts == nil {
		y.counts = map[string]int{}
	}
	y.counts[string(p.Aim)+" "+string(p.Verdict)]++
	for _, c := range p.Changes {
		name := string(c.Target.Kind) + " " + c.Target.Field
		if c.Target.Kind == host.SysctlKind {
			name = c.Target.Name
		}
		y.counts[name]++
	}
}

func (y *tally) check(t *testing.T, n uint64) {
	t.Log(y.counts)
	for _, name := range []string{
		"workload holds", "workload binds", "workload unknown", "mend holds", "mend binds",
		"most holds", "fs.nr_open", "fs.file-max", "fs.epoll.max_user_watches",
		"process hard", "process soft", "listener limit", "net.core.somaxconn",
		"net.ipv4.tcp_max_syn_backlog", "net.ipv4.ip_local_port_range",
		"net.ipv4.ip_local_reserved_ports",
		"net.ipv4.tcp_mem", "net.core.netdev_max_backlog", "net.ipv4.tcp_timestamps",
		"net.ipv4.tcp_tw_reuse", "net.netfilter.nf_conntrack_max",
		"net.netfilter.nf_conntrack_buckets",
	} {
		if n == cases && y.counts[name] < 3 {
			t.Errorf("%s: only %d times", name, y.counts[name])
		}
	}
}

func testCase(t *testing.T, seed uint64, g generator, seen *tally) {
	c := one{now: g.host()}
	switch g.IntN(12) {
	case 0: // what check complains of
	case 1:
		c.o.ToMax = true
	default:
		c.w = g.workload(c.now)
	}
	var err error
	if c.plan, err = Make(c.now, c.w, c.o); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	seen.add(c.plan)
	c.then = c.now.With(c.plan.Settings()...)
	for name, test := range map[string]func(*testing.T, one){
		"idempotent": idempotent, "holds": holds, "nothing worse": nothingWorse,
		"never": neverProposed, "order": inKernelOrder, "round trip": roundTrip,
		"admitted": admitted,
	} {
		if test(t, c); t.Failed() {
			t.Logf("%s: seed %d, workload %+v\n%s", name, seed, c.w, shownPlan(c.plan))
			return
		}
	}
}

func shownPlan(p Plan) string {
	text, _ := json.MarshalIndent(p, "", " ")
	return string(text)
}

// A plan that was carried out leaves nothing to do.
func idempotent(t *testing.T, c one) {
	again, err := Make(c.then, c.w, c.o)
	if err != nil || len(again.Changes) > 0 {
		t.Errorf("a second plan: %v\n%s", err, shownPlan(again))
	}
}

// What a plan says of itself is what the model says of the host as it would be.
func holds(t *testing.T, c one) {
	if c.plan.Aim == Mend {
		return
	}
	together, w := diagnose.AtOnce, c.w
	if c.o.ToMax {
		together, w = diagnose.OneByOne, c.plan.Workload.Asked()
	}
	needs, _ := diagnose.Unmet(c.then, w, together)
	binds := slices.ContainsFunc(c.plan.Left, func(l Left) bool { return l.Binds })
	if len(needs) > 0 != binds || (len(needs) > 0) != (c.plan.Verdict == diagnose.Binds) ||
		c.plan.Holds != (c.plan.Verdict == diagnose.Holds) {
		t.Errorf("%d needs are left, the plan says %s", len(needs), c.plan.Verdict)
	}
	if c.plan.Verdict == diagnose.Unknown &&
		!slices.ContainsFunc(c.plan.Left, func(l Left) bool {
			return l.Kind == Unknown
		}) && len(c.plan.Unseen) == 0 {
		t.Error("unknown, and nothing says why")
	}
}

// gauges are all ceilings of a host, by limit, subject and measure.
func gauges(s host.Snapshot, w limit.Workload) map[string]limit.Gauge {
	out := map[string]limit.Gauge{}
	for _, l := range limit.Catalogue() {
		all, r := l.Evaluate(s, w)
		if r.Err() != nil {
			continue
		}
		for _, g := range all {
			out[string(l.ID)+" "+g.Subject.Name+" "+string(g.Measure)+" "+g.Unit] = g
		}
	}
	return out
}

// No other limit gets worse: no ceiling sinks, and nothing that the workload fitted before
// does not fit after.
func nothingWorse(t *testing.T, c one) {
	before := gauges(c.now, c.w)
	for name, after := range gauges(c.then, c.w) {
		was, ok := before[name]
		switch {
		case !ok || after.Unbounded:
		case was.Unbounded:
			t.Errorf("%s: had no ceiling and now has %d", name, after.Ceiling)
		case after.Ceiling < was.Ceiling || after.Used > was.Used:
			t.Errorf("%s: was %d of %d, is %d of %d", name, was.Used, was.Ceiling,
				after.Used, after.Ceiling)
		case after.Refusing && !was.Refusing:
			t.Errorf("%s refuses", name)
		}
	}
}

// The rules of what is never proposed.
func neverProposed(t *testing.T, c one) {
	for _, x := range c.plan.Changes {
		from, ok := value(c.now, x.Target.Fact())
		if !ok || from != x.From || x.From == x.To {
			t.Errorf("%s: from %q, and there it is %q", x.Setting, x.From, from)
		}
		lowersNothing(t, x)
		switch x.Target.Name {
		case "net.ipv4.tcp_tw_recycle":
			t.Errorf("proposes %s", x.Target.Name)
		case "net.ipv4.ip_local_port_range":
			reservesServers(t, c, x.To)
		case "net.netfilter.nf_conntrack_max":
			most, buckets := number(t, c.then, "net.netfilter.nf_conntrack_max"),
				number(t, c.then, "net.netfilter.nf_conntrack_buckets")
			if buckets < most {
				t.Errorf("conntrack: %d entries in %d buckets", most, buckets)
			}
		case "net.core.somaxconn":
			liftsAListener(t, c, x)
		case "net.ipv4.tcp_tw_reuse":
			if number(t, c.then, "net.ipv4.tcp_timestamps") == 0 {
				t.Error("tcp_tw_reuse without timestamps")
			}
		}
		if x.Why == "" || x.Owner == "" || x.TakesEffect == "" || x.Limit == "" ||
			x.Risk == "" || x.Cost == "" || x.Lasts == "" {
			t.Errorf("%s: something is not said: %+v", x.Setting, x)
		}
	}
}

func number(t *testing.T, s host.Snapshot, name string) int64 {
	t.Helper()
	n, ok := s.Read().Maybe(host.Sysctl(name))
	if !ok {
		t.Errorf("%s cannot be read", name)
	}
	return n
}

func lowersNothing(t *testing.T, x Change) {
	switch x.Target.Name {
	case "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_tw_reuse":
		return // a list, and a mode of which 1 is the most
	case "net.ipv4.tcp_tw_reuse_delay":
		if !knob.Gives(x.Target.Name, x.From, x.To) {
			t.Errorf("%s: %s to %s", x.Setting, x.From, x.To)
		}
		return
	case "net.ipv4.tcp_fin_timeout":
		if from, _ := strconv.Atoi(x.From); from <= 60 || x.To != "60" ||
			x.Limit != "fin-wait" {
			t.Errorf("%s: %s to %s for %s", x.Setting, x.From, x.To, x.Limit)
		}
		return
	case "net.ipv4.tcp_mem":
		if !knob.Gives("", x.From, x.To) {
			t.Errorf("tcp_mem %s to %s", x.From, x.To)
		}
		return
	case "net.ipv4.ip_local_port_range":
		from, to := strings.Fields(x.From), strings.Fields(x.To)
		low, _ := strconv.Atoi(to[0])
		wasLow, _ := strconv.Atoi(from[0])
		high, _ := strconv.Atoi(to[1])
		wasHigh, _ := strconv.Atoi(from[1])
		if low > wasLow || high < wasHigh || low < 1024 && low < wasLow || high > 65535 {
			t.Errorf("range %s to %s", x.From, x.To)
		}
		return
	}
	from, err1 := strconv.ParseInt(x.From, 10, 64)
	to, err2 := strconv.ParseInt(x.To, 10, 64)
	if err1 != nil || err2 != nil || to <= from || to > 1<<34 {
		t.Errorf("%s: %s to %s", x.Setting, x.From, x.To)
	}
	if x.Target.Kind == host.ProcessKind && to > 2147483584 {
		t.Errorf("%s: %s is as good as infinity", x.Setting, x.To)
	}
}

// reservesServers: what listens in the wider range is reserved.
func reservesServers(t *testing.T, c one, to string) {
	r := c.then.Read()
	low, high := r.Pair(host.Sysctl("net.ipv4.ip_local_port_range"))
	servers := r.Ports(host.Ports("listening")).Within(low, high)
	reserved := r.Ports(host.Sysctl("net.ipv4.ip_local_reserved_ports"))
	if r.Err() != nil || servers.Union(reserved) != reserved {
		t.Errorf("range %s covers servers that are not reserved: %s of %s (%v)", to,
			servers, reserved, r.Err())
	}
	if start, ok := r.Maybe(host.Sysctl("net.ipv4.ip_unprivileged_port_start")); ok &&
		low < start {
		if was, _ := c.now.Read().Pair(host.Sysctl("net.ipv4.ip_local_port_range")); low <
			was {
			t.Errorf("range %s begins below ip_unprivileged_port_start = %d", to, start)
		}
	}
}

// liftsAListener: somaxconn is raised only for a listen() that needs it, or where it is
// what cut the backlog.
func liftsAListener(t *testing.T, c one, x Change) {
	cap, _ := strconv.ParseInt(x.From, 10, 64)
	for _, o := range c.plan.Changes {
		if n, _ := strconv.ParseInt(o.To, 10, 64); o.Target.Kind == host.ListenerKind &&
			n > cap {
			return
		}
	}
	for _, row := range c.now.Read().Rows(host.ListenerKind) {
		if row.Count("limit") == cap {
			return
		}
	}
	t.Error("somaxconn is raised for nobody")
}

// The kernel takes the changes in this order: no step is refused because of one that comes later.
func inKernelOrder(t *testing.T, c one) {
	for i, x := range c.plan.Changes {
		s := c.now.With(c.plan.Settings()[:i+1]...)
		r := s.Read()
		to, _ := strconv.ParseInt(x.To, 10, 64)
		switch {
		case x.Target.Kind == host.ProcessKind:
			row, _ := r.Row(host.ProcessKind, x.Target.Name)
			hard, bounded := row.Int("hard")
			nrOpen, known := r.Maybe(host.Sysctl("fs.nr_open"))
			if soft, _ := row.Int("soft"); bounded && soft > hard ||
				known && (!bounded || hard > nrOpen) {
				t.Errorf("change %d: %s to %s: hard %d, nr_open %d", i, x.Setting,
					x.To, hard, nrOpen)
			}
		case x.Target.Kind == host.ListenerKind:
			if most, ok := r.Maybe(host.Sysctl("net.core.somaxconn")); !ok ||
				to > most {
				t.Errorf("change %d: %s to %s above somaxconn %d", i, x.Setting,
					x.To, most)
			}
		case strings.Contains(x.Setting, "gc_thresh"):
			family := x.Setting[:len(x.Setting)-1]
			one, two, three := number(t, s, family+"1"), number(t, s, family+"2"),
				number(t, s, family+"3")
			was1, was2 := number(t, c.now, family+"1"), number(t, c.now, family+"2")
			if was1 <= was2 && (one > two || two > three) {
				t.Errorf("change %d: %d %d %d", i, one, two, three)
			}
		}
	}
}

// What a plan proposes is admitted when it comes back as a file, with its texts whole.
func admitted(t *testing.T, c one) {
	if err := Admit(c.plan); err != nil {
		t.Error(err)
	}
	for _, x := range c.plan.Changes {
		for _, text := range []string{
			x.Setting, x.Why, x.Owner, x.Cost, x.Risk, x.Lasts, string(x.TakesEffect),
			x.Unit, x.Limits,
		} {
			if len(text) > MostText {
				t.Errorf("%s: a text of %d bytes: %s", x.Setting, len(text), text)
			}
		}
	}
}

// A plan is a file.
func roundTrip(t *testing.T, c one) {
	text, err := json.Marshal(c.plan)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c.plan, back); d != "" {
		t.Error(d)
	}
}
