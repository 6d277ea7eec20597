package lint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/spent"
)

// kernels are those that properties are tried on.
var kernels = []string{"", "4.4", "4.9", "4.19", "5.4", "5.15", "6.1", "6.6", "6.18", "7.1"}

func lintText(name, text, kernel string) Report {
	return Lint([]File{{Name: name, Text: []byte(text)}}, Target{Kernel: kernel})
}

// No setting of TCP, the network core or connection tracking is left without a verdict and
// a source, whatever its value.
func TestEveryNameHasAVerdict(t *testing.T) {
	values := []string{"0", "1", "-1", "1000000", "4096 87380 6291456", "x", "",
		"99999999999999999999"}
	for _, n := range knownNames() {
		if !isTCP(n.Name) {
			continue
		}
		key := strings.ReplaceAll(n.Name, "*", "eth0")
		for _, k := range []string{"", "4.4", "5.4", "6.18"} {
			for _, v := range values {
				r := lintText("x.conf", key+" = "+v+"\n", k)
				if len(r.Lines) != 1 {
					t.Fatalf("%s = %s on %q: %d lines", key, v, k, len(r.Lines))
				}
				l := r.Lines[0]
				checkLine(t, l, 1)
				if l.Source == "" || !l.Shown() || l.Key != key {
					t.Errorf("%s = %s on %q: %s, source %q, shown %v", key, v,
						k, l.Verdict, l.Source, l.Shown())
				}
			}
		}
	}
}

// A rule that compares says what lower does and has a default to compare with; none is skipped.
func TestRules(t *testing.T) {
	for key, r := range rules {
		if r.Knob == nil || (r.less != "") != (r.lessWhy != "") ||
			r.less != "" && r.Default.On == nil {
			t.Errorf("%s: does %q, lower %q", key, r.does, r.lessWhy)
		}
		if strings.HasPrefix(key, "net.") && !isTCP(key) && !r.Aside {
			t.Errorf("%s would be skipped", key)
		}
	}
}

// A line that sets the kernel's default is no fault, but for those that do nothing whatever
// they are set to.
func TestDefaultsAreNoFaults(t *testing.T) {
	doesNothing := []string{"net.ipv4.tcp_max_syn_backlog", "net.core.rmem_default",
		"net.core.wmem_default"}
	for key, r := range rules {
		if r.Default.On == nil || r.Takes.N > 1 || slices.Contains(doesNothing, key) {
			continue
		}
		for _, k := range kernels {
			d, _ := r.Default.Amount(newEnv(Target{Kernel: k}).host())
			l := lintText("x.conf", key+" = "+strconv.FormatInt(d.N, 10), k).Lines[0]
			if d.Known && l.Verdict.Fault() && l.Verdict != Gone {
				t.Errorf("%s = %d on %q: %s: %s", key, d.N, k, l.Verdict, l.Why)
			}
		}
	}
}

// More is never called less: a verdict of below-default never comes back when a number grows.
func TestBelowDefaultIsMonotonic(t *testing.T) {
	for key, r := range rules {
		if r.Takes.Kind != knob.Numbers || r.Takes.N != 1 {
			continue
		}
		for _, k := range kernels {
			enough := false
			for n := int64(64); n < 1<<31; n *= 2 {
				v := lintText("x.conf", fmt.Sprintf("%s = %d", key, n),
					k).Lines[0].Verdict
				if v == BelowDefault && enough {
					t.Errorf("%s = %d on %q is below the default, half of "+
						"it was not", key, n, k)
				}
				enough = enough || v == Effective
			}
		}
	}
}

func TestNames(t *testing.T) {
	k := knownNames()
	if len(k) < 850 {
		t.Errorf("%d names", len(k))
	}
	for _, n := range k {
		if !looksLikeKey(n.Name) {
			t.Errorf("%q is no name", n.Name)
		}
	}
	for key, want := range map[string]string{
		"net.ipv4.tcp_tw_reuse":                  "net.ipv4.tcp_tw_reuse",
		"net.ipv4.conf.eth0.rp_filter":           "net.ipv4.conf.*.rp_filter",
		"net.ipv4.conf.eth0/100.rp_filter":       "net.ipv4.conf.*.rp_filter",
		"net.ipv4.neigh.default.gc_thresh3":      "net.ipv4.neigh.default.gc_thresh3",
		"net.ipv4.conf.all.eth0.rp_filter":       "",
		"net.ipv4.tcp":                           "",
		"net.netfilter.nf_conntrack_max":         "net.netfilter.nf_conntrack_max",
		"net.ipv4.netfilter.ip_conntrack_max":    "net.ipv4.netfilter.ip_conntrack_max",
		"net.ipv6.conf.all.disable_ipv6":         "net.ipv6.conf.*.disable_ipv6",
		"net.ipv4.vs.conn_reuse_mode":            "net.ipv4.vs.conn_reuse_mode",
		"kernel.perf_event_max_sample_rate":      "kernel.perf_event_max_sample_rate",
		"net.bridge.bridge-nf-call-iptables":     "net.bridge.bridge-nf-call-iptables",
		"fs.inotify.max_user_instances":          "fs.inotify.max_user_instances",
		"vm.dirty_background_ratio":              "vm.dirty_background_ratio",
		"net.ipv4.ip_local_reserved_ports":       "net.ipv4.ip_local_reserved_ports",
		"net.core.rps_sock_flow_entries":         "net.core.rps_sock_flow_entries",
		"net.ipv4.icmp_echo_ignore_broadcasts":   "net.ipv4.icmp_echo_ignore_broadcasts",
		"net.ipv4.fib_multipath_hash_policy":     "net.ipv4.fib_multipath_hash_policy",
		"net.ipv4.tcp_available_congestion_ctrl": "",
	} {
		have := ""
		if n := knob.Find(key); n != nil {
			have = n.Name
		}
		if have != want {
			t.Errorf("%s is %q, want %q", key, have, want)
		}
	}
}

// What proc_get_long takes and refuses (measured on 6.18).
func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"30": "[30]", "0x24": "[36]", "010": "[8]", "-5": "[-5]", "-0": "[0]",
		"38 39": "[38] rest 39", "31 # c": "[31] rest # c", "41\t# x": "[41] rest # x",
		"  39":  "[39]",
		"32# c": "wrong", "33;": "wrong", `"34"`: "wrong", "+37": "wrong", "1k": "wrong",
		"1e3": "wrong", "1,000": "wrong", "": "wrong", "4.5": "wrong", "abc": "wrong",
		"0o12": "wrong", "0b1": "wrong",
		"1_000": "wrong", "0x": "wrong", "-": "wrong", "08": "wrong", "0x1_0": "wrong",
		"18446744073709551615":    "[9223372036854775807] big",
		"99999999999999999999999": "[9223372036854775807] big",
	} {
		v := numbers(text, 1)
		have := fmt.Sprint(v.n)
		if v.rest != "" {
			have += " rest " + v.rest
		}
		if v.big {
			have += " big"
		}
		if v.wrong != "" {
			have = "wrong"
		}
		if have != want {
			t.Errorf("%q: %s, want %s", text, have, want)
		}
	}
}

// A large file of nonsense takes no time to speak of: nothing is quadratic that an
// attacker, or a mistake, could feed.
func TestLargeFiles(t *testing.T) {
	for name, line := range map[string]string{
		"properties": "some.property.of.a.program.%d = 12\n",
		"typos":      "net.ipv4.tcp_tw_resue%d = 1\n", "same": "net.core.somaxconn = %d\n",
		"shell": "echo %d > /proc/sys/net/core/somaxconn | tee x\n",
		"words": "net.core.somaxconn %d\n",
	} {
		var b strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&b, line, i)
		}
		r := lintText("x.conf", b.String(), "6.1")
		for _, l := range r.Lines[:min(10, len(r.Lines))] {
			checkLine(t, l, 3000)
		}
		t.Logf("%s: %d lines", name, len(r.Lines))
	}
	long := strings.Repeat("x", 1<<20)
	for _, text := range []string{long, "net.core.somaxconn = " + long, long + " = 1",
		strings.Repeat("\"", 1<<16), strings.Repeat("a|", 1<<16),
		"sh -c '" + strings.Repeat(`sh -c "`, 100)} {
		lintText("x.conf", text, "6.1")
	}
	var stairs strings.Builder
	for i := range 2000 {
		stairs.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, text := range map[string]string{
		"links.md": strings.Repeat("![a](", 1<<16), "codes.md": strings.Repeat("`", 1<<18),
		"stars.md": strings.Repeat("*a ", 1<<17), "marks.tf": strings.Repeat("<<EOF\n",
			1<<16),
		"Dockerfile": strings.Repeat("RUN \\\n", 1<<16), "open.nix": strings.Repeat("''",
			1<<17),
		"code.rst":  "::\n\n" + strings.Repeat("  x\n", 1<<17),
		"code.adoc": "----\n" + strings.Repeat("x\n", 1<<17),
		"deep.json": strings.Repeat("{\"a\":", 1<<16), "do.rb": strings.Repeat("do ",
			1<<16),
		"titles.pp":  strings.Repeat("{ 'a': ", 1<<15),
		"cells.html": strings.Repeat("<td>&amp;", 1<<16),
	} {
		spent.Within(t, len(text), func() { lintText(name, text, "6.1") })
	}
	for _, text := range []string{
		stairs.String(), stairs.String() + "b: c: d\n", strings.Repeat("[", 1<<19),
		strings.Repeat("- ", 1<<19), strings.Repeat("a: b: c\n", 1<<16),
	} {
		lintText("x.yaml", text, "6.1")
	}
}
