//go:build linux

package netfilter

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// captured reads attributes of messages of the kernel, one message a line in hexadecimal.
func captured(t testing.TB, kind string) (out [][]byte) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", kind+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m, err := hex.DecodeString(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// TestCapture writes the captures anew when NETFILTER_CAPTURE is set; the rules are those of
// iptables-nft as well, whose matches have structures of their own.
func TestCapture(t *testing.T) {
	if os.Getenv("NETFILTER_CAPTURE") == "" {
		t.Skip("NETFILTER_CAPTURE=1 writes testdata anew")
	}
	nft, iptables := nstest.Tool(t, "nft"), nstest.Tool(t, "iptables-nft")
	nstest.Run(t, func() {
		for _, rule := range []string{
			"-t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 5000-6000",
			"-t nat -A POSTROUTING -p tcp -j SNAT --to-source " +
				"192.0.2.4-192.0.2.6:100-200 --random-fully",
			"-A INPUT -p tcp --syn --dport 22 -m connlimit --connlimit-above 3 " +
				"-j REJECT --reject-with tcp-reset",
			"-A INPUT -p tcp --dport 22 -m connlimit --connlimit-above 3 " +
				"--connlimit-mask 0 -j DROP",
			"-A INPUT -p tcp --dport 22 -m connlimit --connlimit-upto 3 -j ACCEPT",
			"-A INPUT -p tcp --syn --dport 23 -m hashlimit --hashlimit-name x " +
				"--hashlimit-above 5/sec --hashlimit-mode srcip,dstport -j DROP",
			"-A INPUT -p tcp --syn --dport 23 -m limit --limit 5/sec -j ACCEPT",
		} {
			run(t, iptables, rule)
		}
		give(t, nft, "table inet f {\n set m { type ipv4_addr; size 100; flags dynamic; "+
			"}\n"+
			" limit l { rate over 40/second }\n chain in {\n"+
			"  ct state new limit name l drop\n"+
			"  tcp dport 80 ct state new add @m { ip saddr limit rate over "+
			"3/second } drop\n }\n}\n")
		var b strings.Builder
		err := dump("rules", nftGetRule, nftNewRule, header(unix.AF_UNSPEC), b.Reset,
			func(family byte, m []byte) error {
				fmt.Fprintf(&b, "%02x%x\n", family, m)
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		save(t, "rule", b.String())
	})
}

// The rules of iptables are read from their structures.
func TestRulesOfIptables(t *testing.T) {
	var have []string
	for _, m := range captured(t, "rule") {
		r, err := parseRule(m[0], m[1:])
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, shown(&Ruleset{}, r))
	}
	if os.Getenv("NETFILTER_CAPTURE") != "" {
		text := strings.Join(have, "\n") + "\n"
		err := os.WriteFile("testdata/rule.want", []byte(text), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/rule.want")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), strings.Join(have, "\n")+"\n"); d != "" {
		t.Error(d)
	}
}

// What the kernel sends is whole; anything else is an error, and never more.
func FuzzRule(f *testing.F) {
	for _, m := range captured(f, "rule") {
		f.Add(m[0], m[1:])
	}
	f.Fuzz(func(_ *testing.T, family byte, m []byte) { parseRule(family, m) })
}

func FuzzEntry(f *testing.F) {
	for _, m := range captured(f, "entry") {
		f.Add(m[1:])
	}
	f.Fuzz(func(_ *testing.T, m []byte) { parseEntry(m) })
}

func save(t *testing.T, kind, text string) {
	t.Helper()
	err := os.WriteFile(filepath.Join("testdata", kind+".hex"), []byte(text), 0o644)
	if err != nil {
		t.Fatal(err)
	}
}

// captureEntries keeps what the kernel lists now.
func captureEntries(t *testing.T) {
	var b strings.Builder
	err := dump("entries", ctGet, ctNew, header(unix.AF_UNSPEC), b.Reset,
		func(family byte, m []byte) error {
			fmt.Fprintf(&b, "%02x%x\n", family, m)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	save(t, "entry", b.String())
}
