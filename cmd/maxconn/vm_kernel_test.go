//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// values are what the kernel says, by name: every sysctl that can be read, the queue
// lengths of devices, the size of the hash table of nf_conntrack, the descriptor limits of
// some processes.
type values map[string]string

// kernel reads them without any help from maxconn.
func (g *guest) kernel(pids ...int) values {
	v := values{}
	g.check(filepath.WalkDir("/proc/sys", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, "/proc/sys/")
		if err != nil || d.IsDir() || moves(name) {
			return err
		}
		// some are for writing, or for devices that are down
		if text, err := os.ReadFile(path); err == nil {
			v["sysctl "+strings.ReplaceAll(name, "/",
				".")] = strings.Join(strings.Fields(string(text)), " ")
		}
		return nil
	}))
	for _, dev := range []string{"lo", "dummy0"} {
		v["link "+dev+"#txqueuelen"] = g.text("/sys/class/net/" + dev + "/tx_queue_len")
	}
	v["hashsize"] = g.text("/sys/module/nf_conntrack/parameters/hashsize")
	for _, pid := range pids {
		soft, hard := g.limits(pid)
		v[fmt.Sprintf("process %d#soft", pid)], v[fmt.Sprintf("process %d#hard",
			pid)] = soft, hard
	}
	return v
}

// moves says that a value changes by itself, or because the test looks on: Debian's kernels
// call themselves tainted when fanotify is asked for permission events.
func moves(name string) bool {
	return slices.ContainsFunc([]string{"kernel/random/", "kernel/ns_last_pid", "kernel/pty/nr",
		"kernel/tainted", "kernel/perf_", "fs/dentry-state", "fs/file-nr", "fs/inode-",
		"fs/aio-nr", "net/netfilter/nf_conntrack_count"}, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}

func (g *guest) text(path string) string {
	text, err := os.ReadFile(path)
	g.check(err)
	return strings.TrimSpace(string(text))
}

// limits are those of /proc/PID/limits for descriptors.
func (g *guest) limits(pid int) (soft, hard string) {
	for line := range strings.Lines(g.text("/proc/" + strconv.Itoa(pid) + "/limits")) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			fields := strings.Fields(rest)
			return fields[0], fields[1]
		}
	}
	g.errorf("process %d has no line for open files", pid)
	return "", ""
}

// startTime is the 22nd field of /proc/PID/stat; the second one is in parentheses (proc(5)).
func (g *guest) startTime(pid int) uint64 {
	text := g.text("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	n, err := strconv.ParseUint(fields[22-3], 10, 64)
	g.check(err)
	return n
}

// changed is every value that is another than before.
func (v values) changed(before values) (out []string) {
	for name := range maps.Keys(before) {
		if v[name] != before[name] {
			out = append(out, name)
		}
	}
	for name := range maps.Keys(v) {
		if _, ok := before[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// sameAs complains of every value that is another than before.
func (g *guest) sameAs(when string, now, before values) {
	for _, name := range now.changed(before) {
		g.errorf("%s: %s is %q, it was %q", when, name, now[name], before[name])
	}
}

// holds complains where a plan's value is not the kernel's, or where the kernel has changed
// more than the plan says. The aliases are what it shows of one value in a second place.
func (g *guest) holds(p plan.Plan, now, before values, aliases ...string) {
	wanted := slices.Clone(aliases)
	for _, c := range p.Changes {
		name := c.Target.Fact().String()
		if wanted = append(wanted, name); now[name] != c.To {
			g.errorf("%s is %q in the kernel, want %q", name, now[name], c.To)
		}
	}
	for _, name := range now.changed(before) {
		if !slices.Contains(wanted, name) {
			g.errorf("%s is %q, it was %q, and is not in the plan", name, now[name],
				before[name])
		}
	}
}

// planFor is a plan with these changes for this machine: what another program may hand to
// apply. The machine's name is taken from a plan that maxconn made.
func (g *guest) planFor(before values, changes ...plan.Change) plan.Plan {
	g.maxconn(0, "plan", "--outbound", "192.0.2.1:80=1", "-o", "/tmp/any.json")
	p := g.readPlan("/tmp/any.json")
	for i := range changes {
		c := &changes[i]
		fact := c.Target.Fact().String()
		c.From, c.Setting, c.Why, c.TakesEffect = before[fact],
			settingWords(c.Target), "a test wants it", "now"
	}
	p.Changes = changes
	return p
}

// settingWords is how a plan calls a target; apply refuses a file that calls it otherwise.
func settingWords(t plan.Target) string {
	switch t.Kind {
	case host.ProcessKind:
		return t.Field + " descriptor limit of pid " + t.Name
	case host.LinkKind:
		return t.Field + " of " + t.Name
	}
	return t.Name
}

func (g *guest) readPlan(file string) (p plan.Plan) {
	g.check(json.Unmarshal([]byte(g.text(file)), &p))
	return p
}

func (g *guest) writeJSON(file string, value any) {
	text, err := json.Marshal(value)
	g.check(err)
	g.check(writeSynced(file, text))
}

// writeSynced writes a file so that a power cut leaves it there.
func writeSynced(file string, text []byte) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// set is a change of a sysctl.
func set(name, to string) plan.Change {
	return plan.Change{Target: plan.Target{Kind: host.SysctlKind, Name: name}, To: to}
}

// lengthen is a change of a device's queue.
func lengthen(dev, to string) plan.Change {
	return plan.Change{Target: plan.Target{Kind: host.LinkKind, Name: dev, Field: "txqueuelen"},
		To: to}
}

// limitTo is a change of a process's descriptor limit.
func (g *guest) limitTo(pid int, field, to string) plan.Change {
	return plan.Change{Target: plan.Target{
		Kind:  host.ProcessKind,
		Name:  strconv.Itoa(pid),
		Field: field,
		Start: g.startTime(pid),
	}, To: to}
}

// twice is each number of a value, doubled.
func twice(value string) string {
	fields := strings.Fields(value)
	for i, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 62)
		fields[i] = strconv.FormatInt(2*n, 10)
	}
	return strings.Join(fields, " ")
}
