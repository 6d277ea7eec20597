package observe

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

var update = flag.Bool("update", false, "write what is observed into testdata")

// Each testdata/*.txtar is a tree of /proc and, as "want", the facts that come of it. PPID in a
// path is the parent of the test. Sockets and devices come from the kernel, so they are left out.
func TestFiles(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			testFiles(t, file)
		})
	}
}

func testFiles(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, want := t.TempDir(), -1
	for i, f := range ar.Files {
		if f.Name == "want" {
			want = i
			continue
		}
		writeFile(t, filepath.Join(root,
			strings.ReplaceAll(f.Name, "PPID", fmt.Sprint(os.Getppid()))), f.Data)
	}
	got := observeFiles(t, filepath.Join(root, "proc"))
	if d := cmp.Diff(string(ar.Files[want].Data), got); d != "" && !*update {
		t.Errorf("-want +have (-update accepts it):\n%s", d)
	}
	if *update {
		ar.Files[want].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(ar), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// observeFiles takes the steps that read files, and gives the facts of the tree.
func observeFiles(t *testing.T, root string) string {
	t.Helper()
	s := &subject{
		ctx:     context.Background(),
		options: Options{Root: root, Name: "blue"},
		root:    procfs.Root(root),
	}
	for _, step := range []func(){s.system, s.sysctls, s.counters, s.sockstat, s.memory,
		s.softnet, s.conntrack, s.neighbours} {
		step()
	}
	lines := slices.DeleteFunc(strings.Split(string(s.snapshot.Text()), "\n"),
		func(l string) bool {
			return !ofTheTree(l)
		})
	return strings.Join(lines, "\n")
}

// ofTheTree leaves out what depends on the catalogue or on who runs the test: a new limit must not
// change the cases.
func ofTheTree(line string) bool {
	kind, rest, _ := strings.Cut(line, " ")
	name, _, _ := strings.Cut(rest, " ")
	switch kind {
	case "sysctl":
		return slices.Contains([]string{portRange, reservedPorts, somaxconn,
			"net.ipv4.tcp_mem", "net.netfilter.nf_conntrack_max"}, name)
	case "counter":
		return slices.Contains(strings.Fields(alwaysCounted), name)
	case "meminfo":
		return slices.Contains([]string{"MemTotal", "MemAvailable", "Slab", "SUnreclaim"},
			name)
	case "system":
		return name != "page-size" && name != "user"
	}
	return true
}

// A /proc in which every file is garbage gives reasons and no value, and does not stop the
// observation.
func TestGarbage(t *testing.T) {
	for _, junk := range []string{"", "\x00\x01\x02", "Tcp:\n", "a b c\n1 2\n",
		strings.Repeat("9", 1<<16), "TCP: inuse\n"} {
		root := t.TempDir()
		for _, name := range []string{
			"meminfo", "loadavg", "stat", "slabinfo", "self/mountinfo",
			"thread-self/net/netstat", "thread-self/net/snmp",
			"thread-self/net/sockstat", "thread-self/net/sockstat6",
			"thread-self/net/softnet_stat", "thread-self/net/protocols",
			"thread-self/net/stat/nf_conntrack", "thread-self/net/stat/arp_cache",
			"thread-self/net/stat/ndisc_cache",
			"1/comm", "1/status", fmt.Sprintf("%d/limits", os.Getppid()),
		} {
			writeFile(t, filepath.Join(root, name), []byte(junk))
		}
		for line := range strings.Lines(observeFiles(t, root)) {
			ours := strings.HasPrefix(line, "system netns-name") ||
				strings.HasPrefix(line, "system scope")
			if strings.Contains(line, " = ") && !ours {
				t.Errorf("%.20q gives %s", junk, line)
			}
		}
	}
}

// The whole of Observe on a tree without anything: reasons, no panic, no zero.
func TestNothingToRead(t *testing.T) {
	nstest.Run(t, func() {
		s, err := Observe(context.Background(), Options{Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Unread() {
			if x, _ := s.Lookup(f); x.Err == "" {
				t.Errorf("%s has no reason", f)
			}
		}
		if len(s.Unread()) < 20 {
			t.Errorf("only %d facts are missing", len(s.Unread()))
		}
	})
}
