package lint

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// The line that lint lets stand is the one that systemd-sysctl writes, whatever the files
// are called, mask, match and remove. Package sysctld was held against the real
// programs.
func TestOrderIsSysctlds(t *testing.T) {
	set, nobody := 0, 0
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 5))
		files := randomTree(r)
		root := fstest.MapFS{}
		for _, f := range files {
			root[f.Name] = &fstest.MapFile{Data: f.Text, Mode: 0o644}
		}
		tree := sysctld.Read(root)
		report := Lint(files, Target{Kernel: "6.18", Boot: true})
		for _, key := range []string{"net.core.somaxconn", "net.netfilter.nf_conntrack_max",
			"net.ipv4.tcp_max_orphans"} {
			w := sysctld.Winners(sysctld.Systemd, tree.Settings(sysctld.Systemd), key)
			want := ""
			if w.Set {
				want = fmt.Sprintf("%s:%d", strings.TrimPrefix(w.File, "/"), w.Line)
				set++
			} else {
				nobody++
			}
			if got := standing(report, key); got != want {
				t.Fatalf("seed %d: %s: lint lets %q stand, systemd-sysctl "+
					"writes %q\n%s%s", seed, key, got, want, shownFiles(files),
					shown(report))
			}
		}
	}
	if set < 500 || nobody < 150 {
		t.Errorf("%d keys set, %d not: the random trees say little", set, nobody)
	}
}

// standing is the lines that nothing overrides.
func standing(r Report, key string) string {
	var out []string
	for _, l := range r.Lines {
		bare := strings.HasPrefix(l.Why, "Takes ") && l.Value == "" ||
			strings.HasPrefix(l.Why, "Keeps ") ||
			strings.HasPrefix(l.Why, "A line with - ")
		over := l.Verdict == Overridden || slices.ContainsFunc(l.Notes, func(n Note) bool {
			return n.Verdict == Overridden &&
				!strings.HasPrefix(n.Why, "This line wins at boot")
		})
		unread := l.Verdict == NoEffect &&
			strings.Contains(l.Why, "is not read at boot here")
		if knob.Main(l.Key) == key && !bare && !over && !unread &&
			path.Base(l.File)[0] != '.' {
			out = append(out, fmt.Sprintf("%s:%d", l.File, l.Line))
		}
	}
	return strings.Join(out, " ")
}

// randomTree never gives the same value twice but for one in a while, since then two lines stand.
func randomTree(r *rand.Rand) (files []File) {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	value := 5000
	seen := map[string]bool{}
	for range 1 + r.IntN(5) {
		name := pick(directories...) + "/" + pick("10-a", "20-b", "99-sysctl", ".h", "zz") +
			".conf"
		if r.IntN(8) == 0 {
			name = "etc/sysctl.conf"
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		var s strings.Builder
		for range r.IntN(6) {
			key := pick("net.core.somaxconn", "net/core/somaxconn",
				"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max",
				"net.ipv4.tcp_max_orphans", "net.core.*", "net.*.nf_conntrack_max",
				"net.*.tcp_max_or*")
			value++
			switch r.IntN(8) {
			case 0:
				s.WriteString("-" + key + "\n")
			case 1:
				fmt.Fprintf(&s, "-%s = %d\n", key, value)
			case 2:
				s.WriteString("# nothing\n")
			default:
				fmt.Fprintf(&s, "%s = %d\n", key, value)
			}
		}
		files = append(files, File{Name: name, Text: []byte(s.String())})
	}
	return files
}

func shownFiles(files []File) string {
	var s strings.Builder
	for _, f := range files {
		fmt.Fprintf(&s, "-- %s --\n%s", f.Name, f.Text)
	}
	return s.String()
}
