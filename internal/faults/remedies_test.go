//go:build linux

package faults

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

// Every remedy that a machine can carry out ends the fault, by what the kernel does then: each is
// tried on a fault of its own.
func TestRemediesHelp(t *testing.T) {
	notShort(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := f.make(w)
			if s.works() {
				t.Fatal("there is no fault: it works")
			}
			for i, m := range f.found(w) {
				if w.act(m) == nil {
					continue
				}
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					f.tryRemedy(t, i, m)
				})
			}
		})
	}
}

// found are the remedies of all findings that are more than information, in their order.
func (f fault) found(w world) (out []limit.Remedy) {
	w.Helper()
	r, _ := w.check(f.check...)
	return remedies(r)
}

func remedies(r diagnose.Report) (out []limit.Remedy) {
	for _, x := range r.Findings {
		if x.Severity != diagnose.Info {
			out = append(out, x.Remedies...)
		}
	}
	return out
}

// tryRemedy makes the fault once more and carries out its i-th remedy, which was like that one.
func (f fault) tryRemedy(t *testing.T, i int, like limit.Remedy) {
	w := newWorld(t)
	s := f.make(w)
	all := f.found(w)
	if i >= len(all) || all[i].Kind != like.Kind || all[i].TakesEffect != like.TakesEffect {
		t.Fatalf("remedy %d was %+v, now there are %+v", i, like, all)
	}
	m := all[i]
	if out, err := w.act(m)(s); err != nil && strings.Contains(m.Text, "CAP_SYS_RESOURCE") {
		t.Skipf("%v: %s", err, out) // the text says so
	} else if err != nil {
		t.Fatalf("%s %s -> %s cannot be carried out: %v: %s", m.Setting, m.From, m.To, err,
			out)
	}
	switch {
	case !takesEffectLater(m), m.Setting == backlogArgument:
	case s.again == nil:
		return // and the text says so
	default:
		s.again()
	}
	if !w.await(s.works) {
		t.Errorf("%s %s -> %s helps nothing: %s", m.Setting, m.From, m.To, m.Text)
	}
}

// backlogArgument is a remedy that the program itself carries out.
const backlogArgument = "backlog argument of listen()"

// takesEffectLater says whether a remedy says of itself that it helps only what begins after it.
func takesEffectLater(m limit.Remedy) bool {
	return m.TakesEffect != limit.Now && m.TakesEffect != limit.AtConnect
}

// action carries a remedy out and returns what was said.
type action func(scene) (string, error)

// act is how a machine carries a remedy out; nil where only people can.
func (w world) act(m limit.Remedy) action {
	command, _, _ := strings.Cut(m.Setting, " ")
	switch {
	case m.Kind == limit.BySetting && m.To != "" && knob.IsSysctl(m.Setting):
		return func(scene) (string, error) { return "", w.lab.Set(m.Setting, m.To) }
	case m.Setting == backlogArgument:
		return func(s scene) (string, error) {
			n, err := strconv.Atoi(m.To)
			return "", cmp.Or(err, s.relisten(n))
		}
	case listenerCommand.MatchString(m.Text):
		words := strings.Fields(listenerCommand.FindString(m.Text))
		return func(scene) (string, error) { return w.apply(words[2:]...) }
	case cgroupCommand.MatchString(m.Text):
		words := cgroupCommand.FindStringSubmatch(m.Text)
		return func(scene) (string, error) {
			return "", os.WriteFile(words[2], []byte(words[1]), 0)
		}
	case strings.HasPrefix(m.Setting, "bpftool cgroup detach "):
		return func(scene) (string, error) { return "", detach(m) }
	case m.Kind == limit.Live && slices.Contains([]string{"prlimit", "kill"}, command):
		return func(scene) (string, error) {
			words := strings.Fields(m.Setting)
			tool := nstest.Tool(w, words[0])
			out, err := exec.Command(tool, words[1:]...).CombinedOutput()
			return string(out), err
		}
	}
	return nil
}

// Commands in the text of a remedy: for a listener, and for a cgroup of a test.
var (
	listenerCommand = regexp.MustCompile(`maxconn apply --listener \S+`)
	cgroupCommand   = regexp.MustCompile(`echo (\d+) > (\S+/maxconn-faults-\d+/pids\.max)`)
)

// apply runs maxconn apply on the lab, from outside.
func (w world) apply(args ...string) (string, error) {
	if os.Geteuid() != 0 {
		w.Skip("only root carries plans out in the namespace of another process")
	}
	args = append([]string{"apply", "--netns", w.lab.NetNS(), "--yes", "--state-dir",
		w.TempDir()}, args...)
	out, err := exec.Command(program, args...).CombinedOutput()
	return string(out), err
}

// notShort skips what makes each fault many times.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes each fault once for each remedy: not with -short")
	}
}

// What plan proposes for a faulty host ends the fault, where it says that nothing is left; and it
// proposes the figures that check does.
func TestPlanMends(t *testing.T) {
	notShort(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := f.make(w)
			seen := w.snapshot(f.check...)
			report, _ := w.judge(seen)
			remedies := remedies(report)
			out := w.maxconn(string(seen.Text()), "plan", "--json", "--from", "-")
			var p plan.Plan
			w.must(json.Unmarshal(out.Stdout, &p))
			for _, c := range p.Changes {
				agree(t, c, remedies)
			}
			if len(p.Changes) == 0 {
				f.nothingLeft(t, remedies)
				return
			}
			file := filepath.Join(t.TempDir(), "plan.json")
			w.must(os.WriteFile(file, out.Stdout, 0o600))
			said, err := w.apply(file)
			if err != nil && strings.Contains(said, "CAP_SYS_RESOURCE") {
				t.Skip(said)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			works := w.await(s.works)
			if !works && s.again != nil {
				s.again()
				works = w.await(s.works)
			}
			if !works {
				t.Errorf("it changed %+v, left %+v, and the fault is there",
					p.Changes, p.Left)
			}
		})
	}
}

// nothingLeft fails where a plan changes nothing although check names settings that it could set.
func (f fault) nothingLeft(t *testing.T, remedies []limit.Remedy) {
	t.Helper()
	for _, m := range remedies {
		if knob.IsSysctl(m.Setting) && m.To != "" && f.byHand[m.Setting] == "" {
			t.Errorf("plan leaves %s %s -> %s, which helps", m.Setting, m.From, m.To)
		}
	}
}

// agree says whether check proposes what plan does.
func agree(t *testing.T, c plan.Change, remedies []limit.Remedy) {
	t.Helper()
	setting := c.Setting
	switch c.Target.Kind {
	case host.ListenerKind:
		setting = "listen() on the open socket of " + c.Target.Name
	case host.ProcessKind:
		setting = "prlimit --pid " + c.Target.Name + " --nofile="
	}
	for _, m := range remedies {
		if strings.HasPrefix(m.Setting, setting) {
			if m.To != c.To {
				t.Errorf("%s: check says %s, plan %s", c.Setting, m.To, c.To)
			}
			return
		}
	}
	t.Errorf("%s to %s: check does not speak of it: %+v", c.Setting, c.To, remedies)
}

// No setting ends a fault that its finding does not name: all that a namespace has are tried, each
// with a generous value, one after the other.
func TestNoRemedyIsMissing(t *testing.T) {
	notShort(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := f.make(w)
			remedies := f.found(w)
			for _, g := range generous {
				f.tryGenerous(w, s, g, remedies)
			}
		})
	}
}

// tryGenerous sets one setting, and puts it back where it ended the fault.
func (f fault) tryGenerous(w world, s scene, g generousValue, remedies []limit.Remedy) {
	before, err := w.lab.Value(g.name)
	if err != nil || w.lab.Set(g.name, g.value) != nil {
		return // not of this kernel
	}
	relisten := g.listen && s.relisten != nil
	if relisten {
		s.again()
	}
	if !s.works() {
		return
	}
	named := slices.ContainsFunc(remedies, func(m limit.Remedy) bool {
		return m.Setting == g.name
	})
	if !named && f.noRemedy[g.name] == "" {
		w.Errorf("%s = %s ends it, and no remedy says so: %+v", g.name, g.value, remedies)
	}
	w.must(w.lab.Set(g.name, before))
	if relisten {
		s.again()
	}
}

// generousValue is more of a setting than any fault needs; listen says that it acts at the next
// listen().
type generousValue struct {
	name, value string
	listen      bool
}

// generous is every setting of a namespace that a plan may write or that a limit believes in.
var generous = []generousValue{
	{name: "net.ipv4.tcp_timestamps", value: "1"},
	{name: "net.ipv4.tcp_tw_reuse_delay", value: "1"}, // before the next, which then acts at once
	{name: "net.ipv4.tcp_tw_reuse", value: "1"},
	{name: "net.ipv4.tcp_max_tw_buckets", value: "1000000"},
	{name: "net.core.somaxconn", value: "65535", listen: true},
	{name: "net.ipv4.tcp_max_syn_backlog", value: "65535"},
	{name: "net.ipv4.tcp_syncookies", value: "1"},
	{name: "net.ipv4.tcp_fin_timeout", value: "1"},
	{name: "net.ipv4.ip_local_reserved_ports", value: ""},
	{name: "net.ipv4.ip_local_port_range", value: "1024 65535"},
	{name: "net.ipv4.ip_autobind_reuse", value: "1"},
	{name: "net.ipv6.route.max_size", value: "2147483647"},
}

func TestGenerousIsEverySettingThatPlansWrite(t *testing.T) {
	w := newWorld(t)
	for _, k := range knob.Rows() {
		tried := slices.ContainsFunc(generous, func(g generousValue) bool {
			return g.name == k.Name
		})
		if _, err := w.lab.Value(k.Name); k.Plan != nil && k.Scope.Netns && err == nil &&
			!tried {
			t.Errorf("plans write %s, and it is not tried", k.Name)
		}
	}
}
