//go:build linux

package netfilter

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// shown is a rule in one line.
func shown(s *Ruleset, r Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s/%s", r.Family, r.Table, r.Chain)
	if r.NAT != nil {
		fmt.Fprintf(&b, " nat=%+v", *r.NAT)
	}
	if r.Count != nil {
		fmt.Fprintf(&b, " count=%+v", *r.Count)
	}
	if r.Rate != nil {
		fmt.Fprintf(&b, " rate=%+v", *r.Rate)
	}
	hooks := s.Hooks(Chain{r.Family, r.Table, r.Chain})
	fmt.Fprintf(&b, " %s %v protocol=%d port=%d new=%v plain=%v counted=%v", r.Verdict, hooks,
		r.Protocol, r.Port, r.New, r.Plain, r.Counted)
	return b.String()
}

// Rules as people write them, given to the kernel with their tool and read back.
func TestRules(t *testing.T) {
	nft := nstest.Tool(t, "nft")
	for _, c := range []struct{ chain, rule, want string }{
		{"p", "ip protocol tcp masquerade to :40000-40009",
			"nat={Masquerade:true Low:invalid IP High:invalid IP Ports:[40000 40009] " +
				"Unread:false Random:false FullyRandom:false}  [postrouting] " +
				"protocol=6 port=0 new=false plain=true counted=false"},
		{"p", "oifname eth0 masquerade fully-random",
			"nat={Masquerade:true Low:invalid IP High:invalid IP Ports:[0 0] " +
				"Unread:false Random:false FullyRandom:true}  [postrouting] " +
				"protocol=0 port=0 new=false plain=false counted=false"},
		{"p", "meta l4proto tcp snat to 192.0.2.1-192.0.2.5:1000-2000 random",
			"nat={Masquerade:false Low:192.0.2.1 High:192.0.2.5 Ports:[1000 2000] " +
				"Unread:false Random:true FullyRandom:false}  [postrouting] " +
				"protocol=6 port=0 new=false plain=true counted=false"},
		{"in", "tcp dport 8080 ct count over 10 counter drop",
			"count={Most:10 Over:true Each:false} drop [input] " +
				"protocol=6 port=8080 new=false plain=true counted=true"},
		{"in", "tcp dport 8080 counter ct state new ct count over 10 reject",
			"count={Most:10 Over:true Each:false} reject [input] " +
				"protocol=6 port=8080 new=true plain=true counted=false"},
		{"in", "tcp dport {80, 443} ct count 10 accept",
			"count={Most:10 Over:false Each:false} accept [input] " +
				"protocol=6 port=0 new=false plain=false counted=false"},
		{"in", "tcp dport 80 tcp flags & (fin|syn|rst|ack) == syn add @m { ip saddr ct " +
			"count over 3 } counter drop", "count={Most:3 Over:true Each:true} drop " +
			"[input] " +
			"protocol=6 port=80 new=true plain=false counted=true"},
		{"in", "ct state new limit rate over 100/minute burst 7 packets drop",
			"rate={Packets:100 Seconds:60 Burst:7 Over:true Each:false} drop [input] " +
				"protocol=0 port=0 new=true plain=true counted=false"},
		{"sub", "iifname eth0 limit rate 10/second accept",
			"rate={Packets:10 Seconds:1 Burst:5 Over:false Each:false} accept " +
				"[input output] protocol=0 port=0 new=false plain=false " +
				"counted=false"},
		{"in", "limit rate 5/minute log", ""},
		{"in", "limit rate over 5 mbytes/second drop", ""},
		{"in", "icmp type echo-request limit rate 5/second accept", ""},
		{"in", "udp dport 53 limit rate 5/second accept", ""},
	} {
		t.Run(c.rule, func(t *testing.T) {
			nstest.Run(t, func() {
				give(t, nft, "table ip f {\n set m { type ipv4_addr; size 100; "+
					"flags "+
					"dynamic; }\n chain sub { }\n chain p { type nat hook "+
					"postrouting priority 100; }\n chain in { type filter "+
					"hook "+
					"input priority 0; jump sub; }\n chain out { type filter "+
					"hook output priority 0; goto sub; }\n}\nadd rule ip f "+
					c.chain+" "+c.rule+"\n")
				s := read(t)
				var have string
				for _, r := range s.Bearing {
					have = shown(&s, r)
				}
				want := c.want
				if want != "" {
					want = "ip/f/" + c.chain + " " + want
				}
				if d := cmp.Diff(want, have); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func give(t *testing.T, nft, rules string) {
	t.Helper()
	cmd := exec.Command(nft, "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("nft: %v: %s", err, out)
	}
}

func run(t *testing.T, tool, arguments string) {
	t.Helper()
	out, err := exec.Command(tool, strings.Fields(arguments)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", arguments, err, out)
	}
}

func read(t *testing.T) Ruleset {
	t.Helper()
	s, err := Read(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Fifty thousand rules, most of which bear on nothing, take a moment and little memory.
func TestManyRules(t *testing.T) {
	if testing.Short() {
		t.Skip("nft takes ten seconds for its rules")
	}
	nft := nstest.Tool(t, "nft")
	nstest.Run(t, func() {
		var b strings.Builder
		b.WriteString("table ip f {\n chain in { type filter hook input priority 0; }\n}\n")
		for i := range 50_000 {
			what := "accept"
			if i%100 == 0 {
				what = "ct count over 10 drop"
			}
			fmt.Fprintf(&b, "add rule ip f in ip saddr 10.%d.%d.%d tcp dport 80 %s\n",
				i>>16, i>>8&255, i&255, what)
		}
		give(t, nft, b.String())
		s, err := Read(context.Background(), 100)
		if err != nil || s.Rules != 50_000 || len(s.Bearing) != 100 || s.Left != 400 {
			t.Errorf("%d rules, %d kept, %d left, "+
				"%v", s.Rules, len(s.Bearing), s.Left, err)
		}
		ended, end := context.WithCancel(context.Background())
		end()
		if _, err := Read(ended, 100); err == nil {
			t.Error("it goes on after the end")
		}
	})
}

// A connection whose source is rewritten is an entry by its new source.
func TestEntries(t *testing.T) {
	nstest.Run(t, func() {
		up(t)
		address := netip.MustParseAddr("127.0.0.1")
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		to := l.Addr().(*net.TCPAddr).AddrPort()
		err = tune.RewriteSources(tune.Sources{Port: to.Port(), To: address, Low: 40000,
			High: 40009})
		if err != nil {
			t.Skip(err)
		}
		for range 3 {
			c, err := net.DialTimeout("tcp4", to.String(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if os.Getenv("NETFILTER_CAPTURE") != "" {
			captureEntries(t)
		}
		for _, rewritten := range []bool{true, false} {
			var found []Entry
			err := Entries(context.Background(), rewritten, func() { found = nil },
				func(e Entry) { found = append(found, e) })
			if err != nil || len(found) != 3 {
				t.Fatalf("%d entries, %v: %v", len(found), err, found)
			}
			for _, e := range found {
				p := e.Source.Port()
				if e.Source.Addr() != address || p < 40000 || p > 40009 ||
					e.Destination != to || !e.Rewritten ||
					e.State != Established {
					t.Errorf("%+v", e)
				}
			}
		}
	})
}

func up(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}
