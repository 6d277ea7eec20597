//go:build linux

package sysctld

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/knob"
)

// The real programs are run on each tree in a network and mount namespace of their own,
// which end with the process: the test binary starts itself there, changes its root to the
// tree, with the host's /usr to run programs from, and with all of /proc/sys read-only but
// the network namespace's own settings.
const insideEnv = "MAXCONN_SYSCTLD_INSIDE"

func TestMain(m *testing.M) {
	if root := os.Getenv(insideEnv); root != "" {
		if err := inside(root); err != nil {
			fmt.Fprintln(os.Stderr, "inside:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var errNoNamespace = errors.New("not root, or no namespaces here")

// order is what the child is to do; observed is what came of it.
type order struct {
	Program []string
	Keys    []string
	Cover   []string // directories of the host's /usr that the tree's stand in the place of
}

type observed struct {
	Before, After map[string]string
	Output        string
}

// inside is the child.
func inside(root string) error {
	var do order
	if err := json.NewDecoder(os.Stdin).Decode(&do); err != nil {
		return err
	}
	if err := furnish(root, do.Cover); err != nil {
		return err
	}
	if err := syscall.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	got := observed{Before: values(do.Keys)}
	cmd := exec.Command(do.Program[0], do.Program[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"}
	out, err := cmd.CombinedOutput() // the programs fail where they find fault with a line
	if len(out) == 0 && err != nil {
		return err
	}
	got.Output, got.After = string(out), values(do.Keys)
	return json.NewEncoder(os.Stdout).Encode(got)
}

func values(keys []string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		data, err := os.ReadFile("/proc/sys/" + knob.Path(k))
		if err == nil {
			out[k] = strings.Join(strings.Fields(string(data)), " ")
		}
	}
	return out
}

// furnish mounts what programs need into the tree.
func furnish(root string, cover []string) error {
	mount := func(source, target, kind string, flags uintptr) error {
		if err := os.MkdirAll(filepath.Join(root, target), 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(source, filepath.Join(root, target), kind, flags,
			""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
		return nil
	}
	// What the tree has below /usr moves aside, and comes back over the host's directories.
	aside := filepath.Join(root, "aside")
	if err := os.Rename(filepath.Join(root, "usr"), aside); err != nil &&
		!errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := mount("/usr", "usr", "", syscall.MS_BIND); err != nil {
		return err
	}
	for _, dir := range cover {
		if err := mount(filepath.Join(aside, strings.TrimPrefix(dir, "usr/")), dir, "",
			syscall.MS_BIND); err != nil {
			return err
		}
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + name); err == nil {
			if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	for _, err := range []error{
		mount("/dev", "dev", "", syscall.MS_BIND),
		mount("/proc", "proc", "", syscall.MS_BIND),
		mount("/proc/sys", "proc/sys", "", syscall.MS_BIND),
		mount("", "proc/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY),
		mount("/proc/sys/net", "proc/sys/net", "", syscall.MS_BIND),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// run lets a real program work on a tree. Everything is gone with the child.
func (s scene) run(t *testing.T, keys []string, program ...string) (observed, error) {
	t.Helper()
	if os.Geteuid() != 0 {
		return observed{}, errNoNamespace
	}
	root := t.TempDir()
	s.write(t, root)
	var got observed
	do, err := json.Marshal(order{Program: program, Keys: keys, Cover: s.cover()})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{insideEnv + "=" + root}
	cmd.Stdin = strings.NewReader(string(do))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS |
		syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if errors.Is(err, fs.ErrPermission) ||
		strings.Contains(stderr.String(), "operation not permitted") {
		return got, errNoNamespace
	}
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return got, nil
}

// cover lists the directories below /usr that the real programs are to see as the tree has
// them: always the two of sysctl.d, so that no file of the host takes part.
func (s scene) cover() (out []string) {
	for _, dir := range []string{"usr/lib/sysctl.d", "usr/local/lib", "usr/share"} {
		used := dir != "usr/share"
		for name := range s.files {
			used = used || strings.HasPrefix(name, dir+"/")
		}
		if used {
			out = append(out, dir)
		}
	}
	return out
}

func (s scene) write(t *testing.T, root string) {
	t.Helper()
	dirs := []string{"etc/sysctl.d", "run", "usr/lib/sysctl.d", "usr/local/lib/sysctl.d",
		"usr/share"}
	for name := range s.files {
		dirs = append(dirs, path.Dir(name))
	}
	for name := range s.links {
		dirs = append(dirs, path.Dir(name))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range s.files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range s.links {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// tool is a real program and how it is called.
type tool struct {
	program Program
	command []string
	applied *regexp.Regexp // names a file as it is read
}

// tools are those that are installed; without any the test is skipped.
func tools(t *testing.T) (out []tool) {
	t.Helper()
	for _, x := range []tool{
		{Systemd, []string{"/usr/lib/systemd/systemd-sysctl"},
			regexp.MustCompile(`(?m)^Parsing (.+)$`)},
		{Systemd, []string{"/lib/systemd/systemd-sysctl"},
			regexp.MustCompile(`(?m)^Parsing (.+)$`)},
		{Procps, []string{"/usr/sbin/sysctl", "--system"},
			regexp.MustCompile(`(?m)^\* Applying (.+) \.\.\.$`)},
	} {
		if _, err := os.Stat(x.command[0]); err != nil {
			t.Logf("%s is not installed", x.command[0])
			continue
		}
		if !slices.ContainsFunc(out, func(y tool) bool { return y.program == x.program }) {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		unavailable(t, "neither systemd-sysctl nor procps sysctl is installed")
	}
	return out
}

// unavailable skips, or fails where MAXCONN_REQUIRE says that labs must work.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Fatal(why)
	}
	t.Skip(why)
}

// compare runs a real program on the tree, and holds the kernel's values and the order of
// files against the winners.
func (s scene) compare(t *testing.T, x tool, keys []string) {
	t.Helper()
	got, err := s.run(t, keys, x.command...)
	if errors.Is(err, errNoNamespace) {
		unavailable(t, err.Error())
	}
	tree := Read(s.fs())
	for _, key := range keys {
		before, there := got.Before[key]
		if !there || strings.Contains(key, "conntrack") {
			// this kernel, or a child namespace, lacks it or does not let it be
			// written
			continue
		}
		want := before
		w := tree.Winner(x.program, key)
		if w.Set && isNumber(w.Value) {
			want = w.Value
		}
		if got.After[key] != want {
			t.Errorf("%s: %s is %q, the winner says %q: %s\n%s", x.program, key,
				got.After[key], want, describe(x.program, key, w), s)
		}
	}
	s.compareWrites(t, x, got.Output)
	var read []string
	for _, m := range x.applied.FindAllStringSubmatch(got.Output, -1) {
		read = append(read, m[1])
	}
	if want := tree.shown(x.program); !slices.Equal(read, want) {
		t.Errorf("%s reads %q, want %q\n%s", x.program, read, want, got.Output)
	}
}

// compareWrites holds the turns of two names against the order in which systemd says it sets them.
func (s scene) compareWrites(t *testing.T, x tool, output string) {
	if x.program != Systemd || s.name != "conntrack" {
		return
	}
	var last string
	for _, m := range regexp.MustCompile(
		`Setting '/proc/sys/(\S+)' to '(\d+)'`).FindAllStringSubmatch(output, -1) {
		last = m[2]
	}
	if w := Read(s.fs()).Winner(Systemd, "net.nf_conntrack_max"); w.Value != last {
		t.Errorf("systemd sets %s last, the winner says %s\n%s", last, w.Value, output)
	}
}

// isNumber: the settings here are numbers, the kernel refuses all else.
func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// shown are the files that a program says it reads: systemd skips those that are not there.
func (t Tree) shown(p Program) (out []string) {
	for _, f := range t.Order(p) {
		if f.Path == "/run/credentials/@system/sysctl.extra" {
			continue // comes only by way of the service manager
		}
		if p == Systemd && f.Target != "" && f.Target != "/dev/null" && f.Data == nil {
			continue
		}
		out = append(out, f.Path)
	}
	return out
}

func (s scene) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range s.files {
			if !yield(name) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "-- %s --\n%s", name, s.files[name])
	}
	return b.String()
}

func TestRealPrograms(t *testing.T) {
	all := tools(t)
	for _, s := range scenes(t) {
		for _, x := range all {
			t.Run(s.name+"/"+x.program.String(), func(t *testing.T) {
				if why := s.beyond(x); why != "" {
					t.Skip(why)
				}
				s.compare(t, x, s.keys())
			})
		}
	}
}

// beyond says why a scene cannot be shown to the real program.
func (s scene) beyond(x tool) string {
	switch {
	case s.name == "credential" && x.program == Systemd:
		return "a credential comes from the service manager, which does not run here"
	case s.name == "split_usr":
		return "the programs need the host's own /lib"
	}
	return ""
}

// Random trees: names, directories, values, globs and exclusions in every order.
func TestRealProgramsOnRandomTrees(t *testing.T) {
	all := tools(t)
	for seed := range uint64(12) {
		s := randomScene(rand.New(rand.NewPCG(seed, 1)))
		for _, x := range all {
			t.Run(fmt.Sprintf("%d/%s", seed, x.program), func(t *testing.T) {
				s.compare(t, x, randomKeys)
			})
		}
	}
}

var randomKeys = []string{
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries", "net.core.somaxconn",
	"net.ipv4.tcp_fin_timeout",
}

func randomScene(r *rand.Rand) scene {
	s := scene{files: map[string]string{}, links: map[string]string{}}
	names := []string{"10-a.conf", "50-b.conf", "99-c.conf", "99-C.conf", "k8s.conf",
		"z z.conf", ".conf", "a.conf~", "é.conf"}
	written := append([]string{
		"net.ipv4.tcp_keepalive_*", "net.*.tcp_*_retries", "net.ip[uvw]?.tcp_syn_retries",
		"net/core/somaxconn",
		"net/ipv4/tcp_fin_timeout", "net.ipv4.tcp_??n_timeout", "net.core.somaxcon[!a]",
		"*.somaxconn",
	}, randomKeys...)
	for range 3 + r.IntN(6) {
		dir := directories[r.IntN(4)]
		var b strings.Builder
		for range r.IntN(6) {
			key := written[r.IntN(len(written))]
			switch r.IntN(8) {
			case 0:
				b.WriteString("-" +
					strings.NewReplacer("*", "intvl", "??", "fi", "[uvw]?",
						"v4", "[!a]", "n").Replace(key) + "\n")
			case 1:
				fmt.Fprintf(&b, "-%s = %d\n", key, 1+r.IntN(2))
			default:
				fmt.Fprintf(&b, "%s=%d\r\n", key, 1+r.IntN(2))
			}
		}
		s.files[dir+"/"+names[r.IntN(len(names))]] = b.String()
	}
	if r.IntN(2) == 0 {
		s.files[conf] = "net.core.somaxconn = 3\nnet.ipv4.tcp_keepalive_time = 3\n"
	}
	return s
}
