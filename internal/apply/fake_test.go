package apply

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// fake is a kernel in memory. It is used from one goroutine.
type fake struct {
	values  map[plan.Target]string
	most    map[plan.Target]string // what a larger value becomes
	used    map[plan.Target]int64
	refuse  map[plan.Target]error
	written []string
}

func (f *fake) Read(t plan.Target) (string, error) {
	v, ok := f.values[t]
	if !ok {
		return "", ErrGone
	}
	return v, nil
}

func (f *fake) Write(t plan.Target, value string) error {
	if err := f.refuse[t]; err != nil {
		return err
	}
	if _, ok := f.values[t]; !ok {
		return ErrGone
	}
	f.written = append(f.written, t.Name+"="+value)
	if cap, ok := f.most[t]; ok && (len(value) > len(cap) ||
		len(value) == len(cap) && value > cap) {
		f.values[t] = cap
		return &Kept{Want: value, Got: cap}
	}
	f.values[t] = value
	return nil
}

func (f *fake) InUse(t plan.Target) (int64, string, error) {
	if n, ok := f.used[t]; ok {
		return n, "are in use", nil
	}
	return 0, "", nil
}

func sysctl(name string) plan.Target { return plan.Target{Kind: host.SysctlKind, Name: name} }

var (
	cap1  = sysctl("net.core.somaxconn")
	ports = sysctl("net.ipv4.ip_local_port_range")
	hard  = plan.Target{Kind: host.ProcessKind, Name: "77", Field: "hard", Start: 5}
	soft  = plan.Target{Kind: host.ProcessKind, Name: "77", Field: "soft", Start: 5}
	queue = plan.Target{
		Kind:  host.ListenerKind,
		Name:  "0.0.0.0:80",
		Field: "limit",
		Start: 5,
		PID:   77,
		Inode: 9,
	}
	device = plan.Target{Kind: host.LinkKind, Name: "eth0", Field: "txqueuelen"}
)

func newFake() *fake {
	return &fake{
		values: map[plan.Target]string{
			cap1:   "128",
			ports:  "32768 60999",
			hard:   "4096",
			soft:   "1024",
			queue:  "5",
			device: "1000",
		},
		most: map[plan.Target]string{}, used: map[plan.Target]int64{},
		refuse: map[plan.Target]error{},
	}
}

func change(t plan.Target, from, to string) plan.Change {
	return plan.Change{Target: t, Setting: words(t), From: from, To: to}
}

var here = Place{Host: plan.Host{Name: "box", Kernel: "6.1.0", Netns: "net:[1]",
	Boot: "2026-01-01T00:00:00Z"}, BootID: "first"}

// thePlan changes every kind of target.
func thePlan() plan.Plan {
	return plan.Plan{Schema: plan.Schema, Host: here.Host, Changes: []plan.Change{
		change(cap1, "128", "4096"), change(ports, "32768\t60999", "1024 65535"),
		change(hard, "4096", "65536"),
		change(soft, "1024", "65536"), change(queue, "5", "4096"),
		change(device, "1000", "5000"),
	}}
}

// bench is an engine on a fake, with a clock that stands still.
type bench struct {
	*Engine
	kernel *fake
	before map[plan.Target]string
	up     time.Duration
	etc    string
}

func newBench(t testing.TB) *bench {
	k := newFake()
	b := &bench{kernel: k, before: maps.Clone(k.values), up: time.Hour, etc: memoryDir(t)}
	b.Engine = &Engine{
		Dir: filepath.Join(memoryDir(t), "state"), Kernel: k, Usage: func() Usage {
			return k
		}, Here: here,
		Uptime: func() (time.Duration, error) { return b.up, nil },
		Now:    func() time.Time { return time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC) },
		Guard:  func(int) (int, error) { return os.Getpid(), nil },
		Files:  b.files,
		Owns:   func(string) bool { return true },
	}
	return b
}

// memoryDir is a directory in memory where there is one: these tests sync thousands of
// times, and the kernel is not real either.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "maxconn-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// files is one new file in a new directory, and one that replaces another.
func (b *bench) files(plan.Plan) ([]persist.File, error) {
	return []persist.File{
		{
			Path:    filepath.Join(b.etc, "sysctl.d", "50-maxconn.conf"),
			Mode:    0o644,
			Content: []byte("net.core.somaxconn = 4096\n"),
			Keeps:   []plan.Target{cap1},
		},
		{Path: filepath.Join(b.etc, "old.conf"), Mode: 0o640, Content: []byte("new\n")},
	}, nil
}

func (b *bench) makeOld(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.etc, "old.conf"), []byte("old\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
}

// tree is every file below a directory and its text.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := strings.TrimPrefix(path, dir)
		if d.IsDir() {
			out[name+"/"] = ""
			return nil
		}
		text, err := os.ReadFile(path)
		info, err2 := d.Info()
		out[name] = info.Mode().String() + " " + string(text)
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *bench) wantBefore(t testing.TB) {
	t.Helper()
	for target, want := range b.before {
		if got := b.kernel.values[target]; !sameText(got, want) {
			t.Errorf("%s is %q, was %q", words(target), got, want)
		}
	}
}

func sameText(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

func (b *bench) wantState(t testing.TB, want ...State) {
	t.Helper()
	h, err := b.History()
	if err != nil {
		t.Fatal(err)
	}
	var got []State
	for _, r := range h.Runs {
		got = append(got, r.State)
	}
	if len(got) != len(want) {
		t.Fatalf("states are %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("states are %q, want %q", got, want)
		}
	}
}
