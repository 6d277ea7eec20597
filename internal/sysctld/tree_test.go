package sysctld

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

// scene is a tree of files with what is expected of it.
type scene struct {
	name  string
	files map[string]string // path -> content
	links map[string]string // path -> target
	want  []string          // lines of the section "want"
}

// scenes reads testdata. A section is a file; "a -> b" is a link; "a (quoted)" holds Go escapes.
func scenes(t testing.TB) (out []scene) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, p := range paths {
		ar, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		s := scene{
			name:  strings.TrimSuffix(filepath.Base(p), ".txtar"),
			files: map[string]string{},
			links: map[string]string{},
		}
		for _, f := range ar.Files {
			s.add(t, f.Name, string(f.Data))
		}
		out = append(out, s)
	}
	return out
}

func (s *scene) add(t testing.TB, name, data string) {
	t.Helper()
	if link, target, ok := strings.Cut(name, " -> "); ok {
		s.links[link] = target
		return
	}
	if quoted, ok := strings.CutSuffix(name, " (quoted)"); ok {
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(data, "\n", "") + `"`)
		if err != nil {
			t.Fatal(name, err)
		}
		name, data = quoted, text
	}
	if name == "want" {
		s.want = strings.Split(strings.TrimSpace(data), "\n")
		return
	}
	s.files[name] = data
}

func (s scene) fs() fs.FS {
	m := fstest.MapFS{}
	for name, data := range s.files {
		m[name] = &fstest.MapFile{Data: []byte(data), Mode: 0o644}
	}
	for name, target := range s.links {
		m[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
	return m
}

// keys are those that the section "want" asks for.
func (s scene) keys() (out []string) {
	seen := map[string]bool{}
	for _, line := range s.want {
		if _, rest, ok := strings.Cut(line, ": "); ok {
			key, _, _ := strings.Cut(rest, " ")
			if strings.HasPrefix(key, "net.") && !seen[key] {
				seen[key] = true
				out = append(out, key)
			}
		}
	}
	return out
}

// describe is a winner as a line of "want".
func describe(p Program, key string, w Winner) string {
	name := map[Program]string{Systemd: "systemd", Procps: "procps", Tuned: "tuned"}[p]
	switch {
	case w.Set:
		return fmt.Sprintf("%s: %s = %q %s:%d", name, key, w.Value, w.File, w.Line)
	case w.Exclude:
		return fmt.Sprintf("%s: %s excluded %s:%d", name, key, w.File, w.Line)
	}
	return fmt.Sprintf("%s: %s nobody", name, key)
}

func TestWinners(t *testing.T) {
	for _, s := range scenes(t) {
		t.Run(s.name, func(t *testing.T) {
			tree := Read(s.fs())
			for _, line := range s.want {
				got := answer(tree, line)
				if got != line {
					t.Errorf("got  %s\nwant %s", got, line)
				}
			}
		})
	}
}

// answer says what the tree says to the question in a line of "want".
func answer(t Tree, line string) string {
	who, rest, _ := strings.Cut(line, ": ")
	p := map[string]Program{"systemd": Systemd, "procps": Procps,
		"tuned": Tuned}[strings.TrimSuffix(who, " reads")]
	key, _, _ := strings.Cut(rest, " ")
	if !strings.HasSuffix(who, " reads") {
		return describe(p, key, t.Winner(p, key))
	}
	var b bytes.Buffer
	b.WriteString(who + ":")
	for _, f := range t.Order(p) {
		b.WriteString(" " + f.Path)
	}
	return b.String()
}

func TestLostLines(t *testing.T) {
	s := scene{files: map[string]string{
		"etc/sysctl.d/10-a.conf": "net.core.somaxconn = 1\nnet.core.* = 9\n",
		"etc/sysctl.d/20-b.conf": "net.core.somaxconn = 2\n",
	}}
	w := Read(s.fs()).Winner(Systemd, "net/core/somaxconn")
	if w.Value != "2" || len(w.Lost) != 2 || w.Lost[0].Line != 1 ||
		w.Lost[1].Key != "net.core.*" {
		t.Errorf("%+v", w)
	}
}

// What cannot be read is told where it could matter.
func TestUnseen(t *testing.T) {
	s := scene{files: map[string]string{"etc/sysctl.d/20-b.conf": "net.core.somaxconn = 2\n"}}
	tree := Read(s.fs())
	tree.Files = append(tree.Files, File{Path: "/etc/sysctl.d/10-a.conf",
		Unread: "permission denied"},
		File{Path: "/etc/sysctl.d/30-c.conf", Unread: "permission denied"})
	w := tree.Winner(Systemd, "net.core.somaxconn")
	if got := tree.Unseen(Systemd, w); len(got) != 1 ||
		got[0] != "/etc/sysctl.d/30-c.conf: permission denied" {
		t.Error(got)
	}
	w = tree.Winner(Systemd, "net.core.rmem_max")
	if got := tree.Unseen(Systemd, w); len(got) != 2 {
		t.Error(got)
	}
}

func TestWithAndWithout(t *testing.T) {
	s := scene{files: map[string]string{"etc/sysctl.d/20-b.conf": "net.core.somaxconn = 2\n"}}
	tree := Read(s.fs()).With("/etc/sysctl.d/zz-maxconn.conf",
		[]byte("net.core.somaxconn = 3\n"))
	if w := tree.Winner(Systemd, "net.core.somaxconn"); w.Value != "3" {
		t.Error(w)
	}
	tree = tree.With("/etc/sysctl.d/zz-maxconn.conf", []byte("net.core.somaxconn = 4\n"))
	if w := tree.Winner(Systemd, "net.core.somaxconn"); w.Value != "4" || len(w.Lost) != 1 {
		t.Error(w)
	}
	if w := tree.Without("/etc/sysctl.d/zz-maxconn.conf").Winner(Systemd,
		"net.core.somaxconn"); w.Value != "2" {
		t.Error(w)
	}
}

// Without is a copy that lacks a file.
func (t Tree) Without(file string) Tree {
	c := Tree{Unread: t.Unread}
	for _, f := range t.Files {
		if f.Path != file {
			c.Files = append(c.Files, f)
		}
	}
	return c
}

// Winner finds the line that has the last word on a key, under whatever name of the value.
func (t Tree) Winner(p Program, key string) Winner { return Winners(p, t.Settings(p), key) }
