package cgroup

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestParseMountinfo(t *testing.T) {
	got, err := ParseMountinfo([]byte(
		"36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:2 - ext3 " +
			"/dev/root rw,errors=continue\n" +
			"37 35 0:30 /../.. /cg rw - cgroup2  rw,nsdelegate\n"))
	want := []Mount{
		{Root: "/mnt1", Point: `/mnt 2\x`, Type: "ext3", Options: "rw,errors=continue"},
		{Root: "/../..", Point: "/cg", Type: "cgroup2", Options: "rw,nsdelegate"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for file, want := range map[string]string{
		"": "parse mountinfo: is empty or cut " +
			"short: no newline at its end",
		"36 35 98:0 / / rw - ext3 /dev/root rw": "parse mountinfo: is empty or cut " +
			"short: no newline at its end",
		"36 35 98:0 / / rw - ext3 /dev/root\n":          `parse mountinfo line 1: "36 35 98:0 / / rw - ext3 /dev/root" is not a mount`,
		"36 x 98:0 / / rw - ext3 /dev/root rw\n":        `parse mountinfo line 1: "36 x 98:0 / / rw - ext3 /dev/root rw" is not a mount`,
		"36 35 98:0 / relative rw - ext3 /dev/root r\n": `parse mountinfo line 1: "36 35 98:0 / relative rw - ext3 /dev/root r" is not a mount`,
		"36 35 98:0 / / rw ext3 /dev/root rw\n":         `parse mountinfo line 1: "36 35 98:0 / / rw ext3 /dev/root rw" is not a mount`,
	} {
		if _, err := ParseMountinfo([]byte(file)); err == nil || err.Error() != want {
			t.Errorf("%q\n got %v\nwant %s", file, err, want)
		}
	}
}

func TestParseMembership(t *testing.T) {
	got, err := ParseMembership(
		[]byte("12:cpu,cpuacct:/a:b\n1:name=systemd:/x\n0::/y (deleted)\n"))
	want := []Membership{
		{Controllers: []string{"cpu", "cpuacct"}, Path: "/a:b"},
		{Controllers: []string{"name=systemd"}, Path: "/x"},
		{Unified: true, Path: "/y", Deleted: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, line := range []string{"", "x:memory:/", "1:memory", "1:memory:relative", "1::/",
		"0:memory:/", "0:: (deleted)"} {
		got, err := ParseMembership([]byte(line + "\n"))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v %v", line, got, err)
		}
	}
}

func TestUnitPath(t *testing.T) {
	for file, want := range map[string]string{
		"0::/system.slice/nginx.service\n":                          "/system.slice/nginx.service",
		"4:memory:/m\n1:name=systemd:/system.slice/a.service\n0::/": "/system.slice/a.service",
		"4:memory:/jobs/17\n1:name=systemd:/\n0::/":                 "/jobs/17",
		"4:memory:/m\n8:pids:/p":                                    "/p",
		"0::/":                                                      "/",
	} {
		groups, err := ParseMembership([]byte(strings.TrimSuffix(file, "\n") + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := UnitPath(groups); got != want {
			t.Errorf("%q: got %s, want %s", file, got, want)
		}
	}
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]string{
		"4096\n": "4096", "max\n": "unlimited", "0\n": "0",
		"9223372036854771712\n":  "unlimited", // 4 KB pages
		"9223372036854710272\n":  "unlimited", // 64 KB pages
		"9223372036854775807\n":  "unlimited", // before 3.19
		"18446744073709551615\n": "unlimited",
		"1099511627776\n":        "1099511627776",
		"":                       "unknown", "-1\n": "unknown", "4096 kB\n": "unknown",
		"Max\n": "unknown",
	} {
		if got := parseAmount("memory.max", []byte(text)).String(); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestParseKeyed(t *testing.T) {
	const file = "low 0\nmax 18446744073709551615\noom_kill x\n"
	for key, want := range map[string]string{"low": "0", "max": "18446744073709551615",
		"oom_kill": "unknown", "oom": "unknown"} {
		if got := parseKeyed("memory.events", key, []byte(file)).String(); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	if a := parseKeyed("memory.events", "oom", []byte(file)); !errors.Is(a.Err,
		fs.ErrNotExist) {
		t.Errorf("a key that the kernel lacks: %v", a.Err)
	}
	if a := parseKeyed("memory.events", "max", []byte("max 18")); a.Err == nil ||
		errors.Is(a.Err, fs.ErrNotExist) {
		t.Errorf("a file that was cut short: %+v", a)
	}
}

// seeds gives a fuzz target one file of every host in testdata.
func seeds(f *testing.F, name string) {
	f.Helper()
	for _, host := range []string{"hybrid", "v2", "container_v1", "container_v2"} {
		archive, err := txtar.ParseFile("testdata/" + host + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if path.Base(file.Name) == name {
				f.Add(file.Data)
			}
		}
	}
}

func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
		t.Fatalf("error %q is not one plain line", err)
	}
}

func FuzzMountinfo(f *testing.F) {
	seeds(f, "mountinfo")
	f.Fuzz(func(t *testing.T, b []byte) {
		mounts, err := ParseMountinfo(b)
		oneLine(t, err)
		for _, m := range mounts {
			if !strings.HasPrefix(m.Point, "/") {
				t.Fatalf("accepted %+v", m)
			}
		}
	})
}

// FuzzLocate: no membership leads out of the directory that is mounted.
func FuzzLocate(f *testing.F) {
	seeds(f, "cgroup")
	f.Add([]byte("4:memory:/../../x\n"))
	f.Add([]byte("0::/a/../../x (deleted)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		groups, err := ParseMembership(b)
		oneLine(t, err)
		UnitPath(groups)
		for _, root := range []string{"/", "/..", "/docker"} {
			tree := &Tree{mounts: []reachable{{Mount{Root: root, Point: "/cg",
				Type: "cgroup", Options: "rw,memory"}, "/nowhere"}}}
			place, err := tree.Locate("memory", groups)
			oneLine(t, err)
			if err != nil {
				continue
			}
			for _, at := range place.levels() {
				if at.dir != "/nowhere/cg" &&
					!strings.HasPrefix(at.dir, "/nowhere/cg/") {
					t.Fatalf("%q leads to %s", b, at.dir)
				}
			}
		}
	})
}

func FuzzAmount(f *testing.F) {
	seeds(f, "memory.limit_in_bytes")
	seeds(f, "memory.max")
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseAmount("memory.max", b)
		oneLine(t, a.Err)
		if a.Known() && a.N >= noLimit {
			t.Fatalf("%q is %+v", b, a)
		}
	})
}

func FuzzKeyed(f *testing.F) {
	seeds(f, "memory.events")
	seeds(f, "memory.stat")
	seeds(f, "pids.events")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, key := range []string{"max", "sock", "oom_kill"} {
			a := parseKeyed("memory.events", key, b)
			oneLine(t, a.Err)
			if a.Unlimited || a.Err != nil && a.N != 0 {
				t.Fatalf("%q is %+v", b, a)
			}
		}
	})
}

func FuzzUnit(f *testing.F) {
	for _, p := range []string{"/system.slice/nginx.service", "/../a.slice/_b.scope/c",
		"/user.slice/user@1.service/app.slice/x.service"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		unit := Unit(p)
		if unit != "" && (!isUnit(unit) || strings.Contains(unit, "/") ||
			!strings.Contains(p, unit)) {
			t.Fatalf("%q is in unit %q", p, unit)
		}
	})
}
