package cgroup_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what was read into testdata")

// TestTree reads the hosts of testdata: each is a mountinfo, a cgroup file and
// the tree that they speak of, and what is to be read from them.
func TestTree(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			host, want := unpack(t, archive)
			got := host.report(t)
			if *update {
				replace(archive, "want", got)
				if err := os.WriteFile(file, txtar.Format(archive),
					0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func replace(archive *txtar.Archive, name, content string) {
	for i, f := range archive.Files {
		if f.Name == name {
			archive.Files = append(archive.Files[:i], archive.Files[i+1:]...)
			break
		}
	}
	archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(content)})
}

// host is a tree on disk and the two files that lead into it.
type host struct {
	root              string
	mountinfo, cgroup []byte
}

func unpack(t *testing.T, archive *txtar.Archive) (h host, want string) {
	t.Helper()
	h.root = t.TempDir()
	for _, f := range archive.Files {
		switch f.Name {
		case "mountinfo":
			h.mountinfo = f.Data
		case "cgroup":
			h.cgroup = f.Data
		case "want":
			want = string(f.Data)
		default:
			path := filepath.Join(h.root, f.Name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h, want
}

// report is all that the package reads, as text.
func (h host) report(t *testing.T) string {
	t.Helper()
	tree, err := cgroup.NewTree(h.root, h.mountinfo)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := cgroup.ParseMembership(h.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if place, err := tree.Locate("memory", groups); err != nil {
		fmt.Fprintln(&out, "memory:", err)
	} else {
		memory := tree.Memory(place)
		fmt.Fprintf(&out, "memory: version %d, top %s, above %v\n", place.Version,
			strings.TrimPrefix(place.Top, h.root), memory.Above)
		for _, l := range memory.Levels {
			fmt.Fprintf(&out,
				"%s\n limit %v high %v usage %v sockets %v\n hits %v (here %v) "+
					"killed %v tcp limit %v hits %v\n",
				l.Path, l.Limit, l.High, l.Usage, l.Sockets, l.Hits, l.HitsHere,
				l.OOMKills, l.TCPLimit, l.TCPHits)
		}
	}
	if place, err := tree.Locate("pids", groups); err != nil {
		fmt.Fprintln(&out, "pids:", err)
	} else {
		pids := tree.Pids(place)
		fmt.Fprintf(&out, "pids: version %d, top %s, above %v\n", place.Version,
			strings.TrimPrefix(place.Top, h.root), pids.Above)
		for _, l := range pids.Levels {
			fmt.Fprintf(&out, "%s\n limit %v usage %v refused %v (here %v)\n", l.Path,
				l.Limit, l.Usage, l.Refused, l.RefusedHere)
		}
	}
	return out.String()
}

// TestLocate: how the group, as the reader's namespace shows it, and the mount
// fit together.
func TestLocate(t *testing.T) {
	for _, c := range []struct {
		group, mount string
		want         string
		err          error
	}{
		{"/", "/", "/", nil},
		{"/a/b", "/", "/a/b", nil},
		{"/a/b", "/a", "/b", nil},
		{"/a", "/a", "/", nil},
		{"/ab", "/a", "", cgroup.ErrOutside},
		{"/", "/a", "", cgroup.ErrOutside},
		{"/../x", "/", "", cgroup.ErrOutside},
		{"/../x", "/..", "/x", nil},
		{"/..", "/..", "/", nil},
		{"/../../x", "/..", "", cgroup.ErrOutside},
		{"/../../x/y", "/../..", "/x/y", nil},
		{"/x", "/..", "", cgroup.ErrOutside}, // below it, but by which name?
		{"/with:colon", "/", "/with:colon", nil},
	} {
		tree, err := cgroup.NewTree("/",
			fmt.Appendf(nil, "35 24 0:30 %s /cg rw - cgroup cgroup rw,memory\n",
				c.mount))
		if err != nil {
			t.Fatal(err)
		}
		groups, err := cgroup.ParseMembership([]byte("4:memory:" + c.group + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		place, err := tree.Locate("memory", groups)
		if place.Path != c.want || !errors.Is(err, c.err) {
			t.Errorf("group %s, mount %s: got %q %v, want %q %v", c.group, c.mount,
				place.Path, err, c.want, c.err)
		}
	}
}

// TestLocatePrefersTheWholeTree takes the mount that shows more ancestors.
func TestLocatePrefersTheWholeTree(t *testing.T) {
	root := t.TempDir()
	tree, err := cgroup.NewTree(root,
		[]byte("1 0 0:30 /a /bound rw - cgroup2 none rw\n2 0 0:30 / /whole rw - "+
			"cgroup2 none rw\n"))
	if err != nil {
		t.Fatal(err)
	}
	place, err := tree.Locate("memory", []cgroup.Membership{{Unified: true, Path: "/a/b"}})
	want := cgroup.Place{Controller: "memory", Version: 2, Top: filepath.Join(root, "whole"),
		Path: "/a/b"}
	if place != want || err != nil {
		t.Errorf("got %+v %v, want %+v", place, err, want)
	}
}

// A process is frozen where the kernel says so of its group, in either version.
func TestFrozen(t *testing.T) {
	const mounts = "1 0 0:30 / /one rw - cgroup none rw,freezer\n" +
		"2 0 0:31 / /two rw - cgroup2 none rw\n"
	for name, c := range map[string]struct {
		one, two string
		want     bool
	}{
		"neither":   {"THAWED\n", "populated 1\nfrozen 0\n", false},
		"version 1": {"FROZEN\n", "populated 1\nfrozen 0\n", true},
		"version 2": {"THAWED\n", "populated 1\nfrozen 1\n", true},
		"freezing":  {"FREEZING\n", "populated 1\nfrozen 0\n", false},
		"older":     {"", "populated 1\n", false}, // before 5.2
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range map[string]string{"one/web/freezer.state": c.one,
				"two/web/cgroup.events": c.two} {
				file = filepath.Join(root, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755),
					os.WriteFile(file, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			tree, err := cgroup.NewTree(root, []byte(mounts))
			in, inErr := cgroup.ParseMembership([]byte("3:freezer:/web\n0::/web\n"))
			if err := errors.Join(err, inErr); err != nil {
				t.Fatal(err)
			}
			if have := tree.Frozen(in); have != c.want {
				t.Errorf("frozen: %v, want %v", have, c.want)
			}
		})
	}
}

func TestNoController(t *testing.T) {
	tree, err := cgroup.NewTree("/", []byte("22 27 0:21 / /proc rw,relatime - proc proc rw\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		groups []cgroup.Membership
		want   error
	}{
		{nil, cgroup.ErrNoController},
		{[]cgroup.Membership{{Controllers: []string{"cpu"}, Path: "/"}},
			cgroup.ErrNoController},
		// there, and not to be seen
		{[]cgroup.Membership{{Controllers: []string{"memory"}, Path: "/"}},
			cgroup.ErrNotMounted},
		{[]cgroup.Membership{{Unified: true, Path: "/"}}, cgroup.ErrNotMounted},
	} {
		if _, err := tree.Locate("memory", c.groups); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.groups, err, c.want)
		}
	}
}

// TestRemovedGroup: the figures of a group that is gone are errors, and its
// ancestors still count.
func TestRemovedGroup(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "cg/a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "cg/a/memory.max"), []byte("4096\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := cgroup.NewTree(root, []byte("1 0 0:30 / /cg rw - cgroup2 none rw\n"))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := cgroup.ParseMembership([]byte("0::/a/gone (deleted)\n"))
	if err != nil || !groups[0].Deleted {
		t.Fatalf("%+v %v", groups, err)
	}
	levels := tree.Memory(cgroup.Place{
		Controller: "memory",
		Version:    2,
		Top:        filepath.Join(root, "cg"),
		Path:       groups[0].Path,
	}).Levels
	if len(levels) != 3 || !errors.Is(levels[0].Limit.Err, fs.ErrNotExist) ||
		levels[1].Limit != (cgroup.Amount{N: 4096}) {
		t.Errorf("got %+v", levels)
	}
}

// TestThisHost reads the limits of this very process where it has any.
func TestThisHost(t *testing.T) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("this kernel has no cgroups")
	}
	if err != nil {
		t.Fatal(err)
	}
	tree, err := cgroup.NewTree("/", mountinfo)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := cgroup.ParseMembership(b)
	if err != nil {
		t.Fatal(err)
	}
	place, err := tree.Locate("memory", groups)
	if errors.Is(err, cgroup.ErrNoController) || errors.Is(err, cgroup.ErrOutside) ||
		errors.Is(err, cgroup.ErrNotMounted) {
		t.Skipf("no memory controller to be seen: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range tree.Memory(place).Levels {
		if isRoot := l.Path == "/"; !isRoot && l.Usage.Err == nil && l.Usage.N == 0 &&
			i == 0 {
			t.Errorf("%s holds this process and no memory", l.Path)
		}
		if l.Limit.Err != nil && !errors.Is(l.Limit.Err, fs.ErrNotExist) &&
			!errors.Is(l.Limit.Err, fs.ErrPermission) {
			t.Errorf("%s: %v", l.Path, l.Limit.Err)
		}
	}
}
