package persist

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

var update = flag.Bool("update", false, "write what the package makes of the scenes into testdata")

// scene is a host and a plan. In testdata a section "/path" is a file of the host, "/path
// -> target" a link, "facts" its snapshot, "plan" one change a line, "keys" what to compute
// the winners of; all others are what came of it.
type scene struct {
	root  fstest.MapFS
	facts host.Snapshot
	plan  plan.Plan
	keys  []string
}

func (s *scene) options() Options {
	return Options{Snapshot: s.facts, Program: "/usr/local/bin/maxconn", Root: s.root}
}

func load(t *testing.T, ar *txtar.Archive) (*scene, []txtar.File) {
	t.Helper()
	s := &scene{root: fstest.MapFS{}}
	var given []txtar.File
	for _, f := range ar.Files {
		switch name, target, link := strings.Cut(f.Name, " -> "); {
		case link:
			s.root[name[1:]] = &fstest.MapFile{Data: []byte(target),
				Mode: fs.ModeSymlink | 0o777}
		case strings.HasPrefix(name, "/"):
			mode := fs.FileMode(0o644)
			if name, ok := strings.CutSuffix(f.Name, " (executable)"); ok {
				f.Name, mode = name, 0o755
			}
			s.root[f.Name[1:]] = &fstest.MapFile{Data: f.Data, Mode: mode}
			if mode == 0o755 {
				f.Name += " (executable)"
			}
		case name == "facts":
			var err error
			if s.facts, err = host.Parse(
				[]byte("maxconn.snapshot/1\n" + string(f.Data) + "end\n")); err !=
				nil {
				t.Fatal(err)
			}
		case name == "plan":
			for line := range strings.Lines(string(f.Data)) {
				s.plan.Changes = append(s.plan.Changes, parseChange(t, line))
			}
		case name == "keys":
			s.keys = strings.Fields(string(f.Data))
		default:
			continue
		}
		given = append(given, f)
	}
	return s, given
}

// parseChange reads "sysctl net.core.somaxconn: 4096 => 65535; accept-queue; because".
func parseChange(t *testing.T, line string) plan.Change {
	t.Helper()
	head, rest, ok1 := strings.Cut(strings.TrimSpace(line), ": ")
	kind, name, ok2 := strings.Cut(head, " ")
	from, rest, ok3 := strings.Cut(rest, " => ")
	parts := strings.Split(rest, "; ")
	if !ok1 || !ok2 || !ok3 || len(parts) != 3 {
		t.Fatalf("not a change: %q", line)
	}
	name, field, _ := strings.Cut(name, "#")
	c := plan.Change{Setting: head, From: from, To: parts[0], Limit: parts[1], Why: parts[2]}
	c.Target = plan.Target{Kind: host.Kind(kind), Name: name, Field: field}
	if kind == "process" {
		c.Target.Start = 100
	}
	return c
}

func TestScenes(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, p := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(p), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(p)
			if err != nil {
				t.Fatal(err)
			}
			s, given := load(t, ar)
			have := &txtar.Archive{Comment: ar.Comment,
				Files: append(given, s.results(t)...)}
			if *update {
				if err := os.WriteFile(p, txtar.Format(have), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(string(txtar.Format(ar)),
				string(txtar.Format(have))); d != "" && !*update {
				t.Errorf("(-want +have; -update accepts it)\n%s", d)
			}
		})
	}
}

// results are all that the package says of a scene.
func (s *scene) results(t *testing.T) (out []txtar.File) {
	t.Helper()
	add := func(name string, lines ...string) {
		if len(lines) > 0 {
			out = append(out, txtar.File{Name: name,
				Data: []byte(strings.Join(lines, "\n") + "\n")})
		}
	}
	files, err := Files(s.plan, s.options())
	if err != nil {
		add("error", err.Error())
		return out
	}
	var why []string
	for _, f := range files {
		if f.Path != VerifyUnit && f.Path != verifyWants {
			out = append(out, txtar.File{Name: "file " + f.Path, Data: f.Content})
			why = append(why, f.Path+": "+f.Why)
		}
		s.check(t, f)
	}
	add("why", why...)
	left, err := Left(s.plan, s.options())
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, u := range left {
		text = append(text, u.Setting+": "+u.Why)
	}
	add("left", text...)
	text = nil
	for _, c := range Claims(s.root, s.plan, files) {
		text = append(text, fmt.Sprintf("%s = %s %s: %s", c.Key, c.Want, c.Outlook, c.Why))
	}
	add("claims", text...)
	add("winners", s.winners()...)
	return out
}

// check holds a file to what its writer relies on.
func (s *scene) check(t *testing.T, f File) {
	t.Helper()
	if !strings.HasPrefix(f.Path, "/etc/") || filepath.Clean(f.Path) != f.Path ||
		f.Mode != 0o644 || f.Why == "" {
		t.Errorf("%+v", f)
	}
	if !strings.HasPrefix(string(f.Content), header) ||
		!strings.HasSuffix(string(f.Content), "\n") {
		t.Errorf("%s: %q", f.Path, f.Content)
	}
}

func (s *scene) winners() (out []string) {
	all := next(s.root, sysctld.Read(s.root), s.keys)
	for _, key := range s.keys {
		w := all[key]
		value, owner, ok := w.Last()
		out = append(out, fmt.Sprintf("%s: %q by %s %v (read by %s)", key, value, owner, ok,
			w.Program))
		for _, o := range w.Others {
			sure := "perhaps "
			if o.Sure {
				sure = "certainly "
			}
			out = append(out, "  "+sure+o.String()+" = "+strconv.Quote(o.Value)+": "+
				o.Why)
		}
		for _, u := range w.Unseen {
			out = append(out, "  unseen "+u)
		}
	}
	return out
}

// Rendering again over what was rendered changes nothing, and keeps what an earlier plan put there.
func TestFilesAreIdempotent(t *testing.T) {
	s := &scene{root: fstest.MapFS{}, facts: snapshot(t, "system scope = initial\n")}
	s.plan.Changes = []plan.Change{parseChange(t,
		"sysctl net.core.somaxconn: 4096 => 65535; accept-queue; a"),
		parseChange(t, "sysctl fs.nr_open: 1 "+
			"=> 2; process-files; b")}
	first := render(t, s, SysctlFile)
	s.root[SysctlFile[1:]] = &fstest.MapFile{Data: first}
	if again := render(t, s, SysctlFile); string(again) != string(first) {
		t.Errorf("%s\nthen\n%s", first, again)
	}
	s.plan.Changes = []plan.Change{parseChange(t,
		"sysctl net.ipv4.tcp_max_orphans: 1 => 3; orphans; c")}
	third := string(render(t, s, SysctlFile))
	for _, want := range []string{"Limit: accept-queue.\nnet.core.somaxconn = 65535\n",
		"fs.nr_open = 2\n", "net.ipv4.tcp_max_orphans = 3\n"} {
		if strings.Count(third, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, third)
		}
	}
	if strings.Count(third, header) != 1 {
		t.Error(third)
	}
}

func snapshot(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func render(t *testing.T, s *scene, path string) []byte {
	t.Helper()
	files, err := Files(s.plan, s.options())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("no %s", path)
	}
	return files[i].Content
}

// deny is a host of which some files may not be read.
type deny struct {
	fstest.MapFS
	name string
}

func (d deny) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

// What may not be read is no proof that nothing is there.
func TestUnreadable(t *testing.T) {
	p := plan.Plan{Changes: []plan.Change{parseChange(t,
		"sysctl net.core.somaxconn: 4096 => 65535; accept-queue; a")}}
	for name, want := range map[string]string{
		"var/lib/cloud/instance/user-data.txt": "/var/lib/cloud/instance/user-data.txt " +
			"may not be read, and may set it",
		"etc/sysctl.d/zzz.conf": "/etc/sysctl.d/zzz.conf: permission denied",
	} {
		root := deny{fstest.MapFS{name: {Data: []byte("x")},
			"usr/lib/systemd/systemd-sysctl": {}}, name}
		files, err := Files(p, Options{
			Root:     root,
			Program:  "/usr/bin/maxconn",
			Snapshot: snapshot(t, "system scope = initial\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if c := Claims(root, p, files)[0]; c.Outlook != Unsure || c.Why != want {
			t.Errorf("%+v", c)
		}
	}
}

func TestSetBy(t *testing.T) {
	root := fstest.MapFS{
		"etc/sysctl.d/10-a.conf": {Data: []byte(
			"net.ipv4.ip_local_port_range = 1024\t65535\n")},
		"etc/sysctl.conf":                {Data: []byte("net.core.somaxconn = 1024\n")},
		"usr/lib/systemd/systemd-sysctl": {},
	}
	by := SetBy(root)
	for _, x := range [][3]string{
		{"net.ipv4.ip_local_port_range", "1024 65535", "/etc/sysctl.d/10-a.conf:1"},
		{"net.ipv4.ip_local_port_range", "32768 60999", ""},
		{"net.core.somaxconn", "1024", "/etc/sysctl.conf:1"},
		{"net.core.rmem_max", "1", ""},
	} {
		if got := by(x[0], x[1]); got != x[2] {
			t.Errorf("%s: %q, want %q", x[0], got, x[2])
		}
	}
}

// A plan is a file that anybody may have edited: nothing of it may become another line,
// another file or a path.
func TestHostilePlans(t *testing.T) {
	good := parseChange(t, "sysctl net.core.somaxconn: 4096 => 65535; accept-queue; because")
	for name, spoil := range map[string]func(*plan.Change){
		"line break in the value": func(c *plan.Change) {
			c.To = "1\nkernel.core_pattern = |/tmp/x"
		},
		"return in the value": func(c *plan.Change) {
			c.To = "1\rkernel.core_pattern = |/tmp/x"
		},
		"line break in the key": func(c *plan.Change) {
			c.Target.Name = "net.core.somaxconn\nx.y"
		},
		"glob":                   func(c *plan.Change) { c.Target.Name = "net.core.*" },
		"equals sign in the key": func(c *plan.Change) { c.Target.Name = "net.core.x=1" },
		"way out": func(c *plan.Change) {
			c.Target.Name = "net.core.//etc/passwd"
		},
		"way up": func(c *plan.Change) {
			c.Target.Name = "net.ipv4./.././../x"
		},
		"dash": func(c *plan.Change) {
			c.Target.Name = "-net.core.somaxconn"
		},
		"device with a quote": func(c *plan.Change) {
			c.Target = plan.Target{Kind: host.LinkKind, Name: `e", RUN+="x`,
				Field: "txqueuelen"}
		},
		"device with a path": func(c *plan.Change) {
			c.Target = plan.Target{Kind: host.LinkKind, Name: "../x",
				Field: "txqueuelen"}
		},
		"other field of a device": func(c *plan.Change) {
			c.Target = plan.Target{Kind: host.LinkKind, Name: "eth0", Field: "mtu"}
		},
		"limit that is no number": func(c *plan.Change) {
			c.Target = plan.Target{Kind: host.ProcessKind, Name: "1", Field: "soft"}
			c.To = "infinity"
		},
		"other field of a process": func(c *plan.Change) {
			c.Target = plan.Target{Kind: host.ProcessKind, Name: "1", Field: "nproc"}
		},
		"unknown kind": func(c *plan.Change) { c.Target.Kind = "file" },
	} {
		c := good
		spoil(&c)
		o := (&scene{root: fstest.MapFS{},
			facts: snapshot(t, "system scope = initial\n")}).options()
		files, err := Files(plan.Plan{Changes: []plan.Change{c}}, o)
		var invalid *InvalidError
		if !errors.As(err, &invalid) || files != nil {
			t.Errorf("%s: %v, %v", name, files, err)
		}
	}
	for _, program := range []string{"", "maxconn", "/usr/bin/max conn", "/usr/bin/%n",
		"/usr/bin/$HOME", "/x\n[Install]", "/usr/bin/"} {
		o := Options{Program: program, Root: fstest.MapFS{}}
		if _, err := Files(plan.Plan{Changes: []plan.Change{good}}, o); err == nil {
			t.Errorf("program %q is taken", program)
		}
	}
	if _, err := Files(plan.Plan{}, Options{Program: "/usr/bin/maxconn"}); err == nil {
		t.Error("no root, and no error")
	}
}

// The reasons of a plan stand in comments; whatever they hold, they stay comments.
func FuzzSysctlFile(f *testing.F) {
	f.Add("because\nkernel.x = 1", "65535", "net.core.somaxconn",
		"# old\nnet.core.netdev_max_backlog = 5\n")
	f.Add("", "", "net.ipv4.ip_local_reserved_ports", "\r\n-net.x\n*.y = 1")
	f.Fuzz(func(t *testing.T, why, to, name, before string) {
		s := &scene{root: fstest.MapFS{SysctlFile[1:]: &fstest.MapFile{Data: []byte(
			before)}}, facts: snapshot(t, "system scope = initial\n")}
		s.plan.Changes = []plan.Change{{
			Target: plan.Target{Kind: host.SysctlKind, Name: name},
			To:     to,
			Why:    why,
			Limit:  "x",
		}}
		files, err := Files(s.plan, s.options())
		if err != nil {
			return
		}
		old := settingsOf([]byte(before))
		for key, value := range settingsOf(files[0].Content) {
			if wanted := key == canonicalName(name) && same(value, to); !wanted &&
				old[key] != value {
				t.Errorf("%q = %q is in neither %q nor the plan", key, value,
					before)
			}
		}
	})
}
