package sysctld

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMatch(t *testing.T) {
	for _, x := range []struct {
		pattern, s string
		whole      bool // fnmatch without flags
		parts      bool // glob
	}{
		{"net/*/somaxconn", "net/core/somaxconn", true, true},
		{"net/*", "net/core/somaxconn", true, false},
		{"*somaxconn", "net/core/somaxconn", true, false},
		{"net/core/soma?conn", "net/core/somaxconn", true, true},
		{"net/core/soma[a-z]conn", "net/core/somaxconn", true, true},
		{"net/core/soma[!a-z]conn", "net/core/somaxconn", false, false},
		{"net/core/soma[^y]conn", "net/core/somaxconn", true, true},
		{"net/core/soma[]x]conn", "net/core/somaxconn", true, true},
		{"net/core/soma[x", "net/core/soma[x", true, true},
		{`net/core/soma\xconn`, "net/core/somaxconn", true, true},
		{"*a*a*a*b", strings.Repeat("a", 200), false, false},
		{"", "", true, true},
		{"*", "", true, true},
		{"a-", "a-", true, true},
		{"[a-]", "-", true, true},
	} {
		if got := match(x.pattern, x.s); got != x.whole {
			t.Errorf("match(%q, %q) = %v", x.pattern, x.s, got)
		}
		if got := matchPath(x.pattern, x.s); got != x.parts {
			t.Errorf("matchPath(%q, %q) = %v", x.pattern, x.s, got)
		}
	}
}

func TestResolve(t *testing.T) {
	link := func(to string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
	}
	root := fstest.MapFS{
		"usr/lib/a.conf": {Data: []byte("x")},
		"lib":            link("usr/lib"),
		"etc/abs":        link("/usr/lib/a.conf"),
		"etc/up":         link("../../../../lib/a.conf"),
		"etc/null":       link("/dev/null"),
		"etc/loop":       link("loop"),
		"etc/dir":        link("/"),
	}
	for name, want := range map[string]string{
		"lib/a.conf": "usr/lib/a.conf", "etc/abs": "usr/lib/a.conf",
		"etc/up": "usr/lib/a.conf", "etc/null": "dev/null",
		"etc/dir/usr/lib": "usr/lib", "etc/dir": ".", "not/there": "not/there",
	} {
		if got, err := Resolve(root, name); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := Resolve(root, "etc/loop"); !errors.Is(err, ErrLinks) {
		t.Error(err)
	}
}

// On a real directory a link to an absolute path stays in the tree, and what may not be
// read is said.
func TestReadDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"etc/sysctl.d", "usr/lib/sysctl.d", "usr/share"} {
		if err := os.MkdirAll(path.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, data string) {
		if err := os.WriteFile(path.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("usr/share/tuning", "net.core.somaxconn = 5\n")
	write("usr/lib/sysctl.d/large.conf", strings.Repeat("#\n", maxFile))
	write("usr/lib/sysctl.d/\xff.conf", "net.core.somaxconn = 6\n")
	if err := os.Symlink("/usr/share/tuning",
		path.Join(dir, "etc/sysctl.d/link.conf")); err != nil {
		t.Fatal(err)
	}
	tree := Read(os.DirFS(dir))
	w := tree.Winner(Systemd, "net.core.somaxconn")
	if w.Value != "5" || tree.Files[0].Target != "/usr/share/tuning" {
		t.Errorf("%+v", w)
	}
	unseen := tree.Unseen(Systemd, w)
	if len(unseen) != 1 || !strings.HasPrefix(unseen[0], "/usr/lib/sysctl.d/\xff.conf: ") {
		t.Errorf("%q", unseen)
	}
	if unseen := tree.Unseen(Systemd, Winner{}); len(unseen) != 2 ||
		!strings.Contains(unseen[0], "larger than 4 MiB") {
		t.Errorf("%q", unseen)
	}
}

// FuzzParse: no input breaks a parser, what it gives is sane, and systemd and procps agree
// on plain lines.
func FuzzParse(f *testing.F) {
	// Debian 12's /etc/sysctl.conf (procps 4.0.2) is a real file; the others are of the tests.
	debian, err := os.ReadFile("testdata/debian12_sysctl.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(debian)
	for _, s := range scenes(f) {
		for _, data := range s.files {
			f.Add([]byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range []Program{Systemd, Procps, Tuned} {
			settings := Parse(p, "f", data)
			for _, s := range settings {
				if s.Key == "" || s.Line < 1 ||
					s.Line > bytes.Count(data, []byte("\n"))+bytes.Count(data,
						[]byte("\r"))+bytes.Count(data, []byte{0})+1 {
					t.Errorf("%s: %+v", p, s)
				}
				if s.Exclude && (s.Value != "" || s.Lenient) {
					t.Errorf("%s: %+v", p, s)
				}
				w := Decide(p, settings, s.Key)
				if w.Set && w.Exclude {
					t.Errorf("%s: %+v", p, w)
				}
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("net/ipv4/conf/*/rp_[!a]ilter", "net/ipv4/conf/eth0/rp_filter")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got, parts := match(pattern, s), matchPath(pattern, s)
		if parts && !got && !strings.Contains(pattern, "[") {
			t.Errorf("matchPath(%q, %q) without match", pattern, s)
		}
		if strings.ContainsAny(pattern+s, "[\\|") ||
			strings.ContainsFunc(pattern+s, func(r rune) bool {
				return r > 0x7e
			}) {
			return
		}
		want, err := path.Match(strings.ReplaceAll(pattern, "/", "|"),
			strings.ReplaceAll(s, "/", "|"))
		if err == nil && got != want {
			t.Errorf("match(%q, %q) is not %v", pattern, s, want)
		}
	})
}
