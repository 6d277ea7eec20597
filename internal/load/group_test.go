//go:build linux

package load

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/load/result"
)

// groups is a tree of version 2 with a limit at each level; 0 is none.
func groups(t *testing.T, levels ...struct{ limit, usage, file, kills int }) *group {
	t.Helper()
	root := t.TempDir()
	dir, path := filepath.Join(root, "cg"), ""
	for i, l := range levels {
		path += fmt.Sprintf("/g%d", i)
		at := filepath.Join(dir, path)
		limit := fmt.Sprint(l.limit)
		if l.limit == 0 {
			limit = "max"
		}
		for name, text := range map[string]string{
			"memory.max": limit, "memory.current": fmt.Sprint(l.usage),
			"memory.events": fmt.Sprintf("max 0\noom 0\noom_kill %d\n", l.kills),
			"memory.stat":   fmt.Sprintf("inactive_file %d\nactive_file 0\nsock 0\n", l.file),
		} {
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			err := os.WriteFile(filepath.Join(at, name), []byte(text+"\n"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte("memory pids\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := cgroup.NewTree(root, []byte("30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := cgroup.ParseMembership([]byte("0::" + path + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	place, err := tree.Locate("memory", in)
	if err != nil {
		t.Fatal(err)
	}
	return &group{tree, place}
}

type level = struct{ limit, usage, file, kills int }

// The level with the least left counts, whichever it is; page cache can be given back.
func TestGroupRoom(t *testing.T) {
	const m = 1 << 20
	for _, c := range []struct {
		levels []level
		want   Room
		ok     bool
	}{
		{[]level{{64 * m, 40 * m, 10 * m, 2}}, Room{"/g0", 64 * m, 34 * m, 2}, true},
		{[]level{{64 * m, 60 * m, 0, 0}, {32 * m, 8 * m, 0, 0}},
			Room{"/g0", 64 * m, 4 * m, 0}, true},
		{[]level{{0, 900 * m, 0, 0}, {32 * m, 8 * m, 0, 1}},
			Room{"/g0/g1", 32 * m, 24 * m, 1}, true},
		{[]level{{0, 900 * m, 0, 0}}, Room{}, false},
	} {
		if have, ok := groups(t, c.levels...).room(); have != c.want || ok != c.ok {
			t.Errorf("%+v: %+v %v, want %+v", c.levels, have, ok, c.want)
		}
	}
	if _, ok := (*group)(nil).room(); ok {
		t.Error("no cgroup has room")
	}
}

// A run stops before its cgroup has nothing left, and says so; with room it goes on.
func TestGuardOfAGroup(t *testing.T) {
	const m = 1 << 20
	for _, c := range []struct {
		usage int
		stops bool
	}{{40 * m, false}, {57 * m, true}} {
		r, err := newRun("pair", Spec{})
		if err != nil {
			t.Fatal(err)
		}
		w := &watcher{run: r, group: groups(t, level{64 * m, c.usage, 0, 0})}
		w.guard(Memory{})
		why := r.why.Load()
		if (why != nil) != c.stops || c.stops && (*why != result.StoppedMemory ||
			r.tight.Load() == nil) {
			t.Errorf("%d: %v", c.usage, why)
		}
		a := &account{run: r}
		report := &result.Report{}
		if why != nil {
			report.Stopped = *why
		}
		if a.boundByGroup(report) != c.stops ||
			c.stops && report.BoundBy != "cgroup-memory" {
			t.Errorf("%d: bound by %q", c.usage, report.BoundBy)
		}
		r.close()
	}
}
