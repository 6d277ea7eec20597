package export

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// proxy is a host that has everything that a plan changes.
func proxy(t *testing.T) host.Snapshot {
	t.Helper()
	text, err := os.ReadFile("../../testdata/hosts/busy-proxy.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, err := host.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exported is a plan with a change of every kind.
func exported(t *testing.T) plan.Plan {
	t.Helper()
	s := proxy(t)
	p, err := plan.Make(s, limit.Workload{
		Inbound: []limit.Goal{{Subject: ":443", Held: 300000, Burst: 5000}},
		Outbound: []limit.Goal{{Subject: "192.0.2.51:8080", Held: 40000},
			{Subject: "192.0.2.52:8080", PerSecond: 2000}},
	}, plan.Options{})
	if err != nil || !p.Holds {
		t.Fatalf("%v\n%+v", err, p)
	}
	p.Changes = append(p.Changes, plan.Change{
		Target:  plan.Target{Kind: host.LinkKind, Name: "eth0", Field: "txqueuelen"},
		Setting: "txqueuelen of eth0", From: "500", To: "1000", Why: "it is short",
	})
	return p
}

func exports(t *testing.T, p plan.Plan, f Format) []File {
	t.Helper()
	files, err := Export(p, persist.Options{Snapshot: proxy(t), Root: fstest.MapFS{}}, f)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", f, err)
	}
	return files
}

// tool finds a consumer.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		unavailable(t, name+" is not installed")
	}
	return path
}

// lay writes files below a directory.
func lay(t *testing.T, dir string, files []File) {
	t.Helper()
	for _, f := range files {
		path, mode := filepath.Join(dir, f.Path), os.FileMode(0o644)
		if f.Executable {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
			os.WriteFile(path, []byte(f.Text), mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// unavailable ends a test for want of a tool: MAXCONN_REQUIRE=exports makes that a failure.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "exports") {
		t.Fatal(why)
	}
	t.Skip(why)
}

// accepts runs a consumer, which must be content.
func accepts(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Nothing is left out in silence: each change of the plan is in the text of each format, or
// what it is about is.
func TestExportsSayEverything(t *testing.T) {
	p := exported(t)
	for _, f := range Formats() {
		var all strings.Builder
		for _, file := range exports(t, p, f.Format) {
			all.WriteString(file.Text)
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(all.String(), "\n#", "\n")),
			" ")
		for _, c := range p.Changes {
			want := []string{c.Target.Name, c.To}
			switch c.Target.Kind {
			case host.ProcessKind:
				want = []string{c.To}
			case host.ListenerKind:
				want = []string{"0.0.0.0:443", c.To}
			}
			for _, w := range want {
				if !strings.Contains(text, w) &&
					!(f.Format == Kubernetes &&
						c.Target.Kind == host.LinkKind) {
					t.Errorf("%s lacks %q of %s", f.Format, w, c.Setting)
				}
			}
		}
	}
	if _, err := Export(p, persist.Options{}, "smoke signals"); err == nil {
		t.Error("a format that there is not")
	}
}

// The files for a boot with systemd set what apply --persist would set, whatever they are called.
func TestExportsAreWhatPersistWrites(t *testing.T) {
	p := exported(t)
	own, err := persist.Files(p, persist.Options{
		Snapshot: proxy(t), Root: fstest.MapFS{}, Program: "/usr/bin/maxconn",
	})
	if err != nil || len(own) < 5 {
		t.Fatalf("%v, %d files", err, len(own))
	}
	files := exports(t, p, Systemd)
	for i, f := range own {
		if have, want := uncommented(files[i].Text),
			uncommented(string(f.Content)); have != want {
			t.Errorf("%s:\n%s\nwant, as in %s:\n%s", files[i].Path, have, f.Path, want)
		}
		if files[i].Path == f.Path || persist.Owns(files[i].Path) {
			t.Errorf("%s belongs to maxconn apply", files[i].Path)
		}
	}
	for _, f := range files[len(own):] {
		if f.Path != readme {
			t.Errorf("persist writes no %s", f.Path)
		}
	}
}

// A host with hostile names: what a snapshot says stays a comment or a word.
func TestExportsOfHostileNames(t *testing.T) {
	const bad = "x\nnet.ipv4.ip_forward = 1\n'; reboot #\"\\\u2028$(reboot)"
	p := exported(t)
	p.Host.Name, p.Host.Kernel = bad, bad
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Why, c.Setting = bad, bad
		if c.Unit != "" {
			c.Unit = "../../" + bad + ".service"
		}
	}
	for _, f := range Formats() {
		for _, file := range exports(t, p, f.Format) {
			for line := range strings.Lines(file.Text) {
				line = strings.TrimSpace(line)
				if !strings.HasPrefix(line, "#") &&
					(strings.Contains(line, "reboot") &&
						!strings.Contains(line, "\"") &&
						!strings.Contains(line, "__reboot") ||
						strings.HasPrefix(line, "net.ipv4.ip_forward")) {
					t.Errorf("%s %s: %q", f.Format, file.Path, line)
				}
			}
			if strings.Contains(file.Path, "..") &&
				!strings.HasPrefix(file.Path, "/etc/systemd/system/..-") ||
				strings.ContainsAny(file.Path, "\n $") {
				t.Errorf("%s: path %q", f.Format, file.Path)
			}
		}
	}
	lay(t, t.TempDir(), exports(t, p, Systemd))
}

// dropIn is the name of the file for a service.
const dropIn = "zz-maxconn-plan.conf"

// inNamespace runs a command in a network namespace of its own, which ends with it.
func inNamespace(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig: syscall.SIGKILL}
	if id := os.Geteuid(); id != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: id, Size: 1}}
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
			t.Fatal(err)
		}
		t.Skipf("network namespaces cannot be made here: %v", err)
	}
	return out.String(), err
}

// namespaced are the settings of the plan that a network namespace has of its own, with
// what this kernel gives a new one.
func namespaced(t *testing.T) plan.Plan {
	t.Helper()
	sysctl := tool(t, "sysctl")
	p := exported(t)
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool {
		return !strings.HasPrefix(c.Setting, "net.ipv4.") &&
			c.Setting != "net.core.somaxconn"
	})
	if len(p.Changes) < 3 {
		t.Fatalf("%+v", p)
	}
	for i := range p.Changes {
		now, err := inNamespace(t, sysctl, "-n", p.Changes[i].Setting)
		if err != nil {
			t.Skipf("read %s in a new namespace: %v %s", p.Changes[i].Setting, err, now)
		}
		p.Changes[i].From = strings.Join(strings.Fields(now), " ")
	}
	return p
}

// readBack is a command that prints the settings of a plan.
func readBack(p plan.Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		b.WriteString("sysctl -n " + c.Setting + "\n")
	}
	return b.String()
}

func wantedValues(p plan.Plan) (out []string) {
	for _, c := range p.Changes {
		out = append(out, strings.Fields(c.To)...)
	}
	return out
}

func TestSysctlDInTheKernel(t *testing.T) {
	p := namespaced(t)
	dir := t.TempDir()
	lay(t, dir, exports(t, p, SysctlD))
	out, err := inNamespace(t, "sh", "-c",
		"sysctl -q -p "+filepath.Join(dir, persist.ExportedSysctl)+"\n"+readBack(p))
	if err != nil || !slices.Equal(strings.Fields(out), wantedValues(p)) {
		t.Errorf("%v: %s", err, out)
	}
}

// The script does what it says, again and again, and nothing where somebody was faster.
func TestShellInTheKernel(t *testing.T) {
	p := namespaced(t)
	dir := t.TempDir()
	lay(t, dir, exports(t, p, Shell))
	script := filepath.Join(dir, "maxconn.sh")
	accepts(t, "sh", "-n", script)
	out, err := inNamespace(t, "sh", "-c",
		"sh "+script+" >/dev/null && sh "+script+"\n"+readBack(p))
	if err != nil || !slices.Equal(strings.Fields(out), wantedValues(p)) {
		t.Errorf("%v: %s", err, out)
	}
	first := p.Changes[0]
	out, err = inNamespace(t, "sh", "-c",
		"sysctl -q -w "+first.Setting+"=77; sh "+script+" || echo refused; sysctl -n "+
			first.Setting)
	if err != nil || !strings.HasSuffix(out, "refused\n77\n") {
		t.Errorf("a value of somebody else: %v: %s", err, out)
	}
}

func TestShellParses(t *testing.T) {
	dir := t.TempDir()
	p := exported(t)
	p.Changes[0].Why = "it's $(odd) `quoted` \\"
	lay(t, dir, exports(t, p, Shell))
	for _, sh := range []string{"sh", "dash", "bash"} {
		if _, err := exec.LookPath(sh); err == nil {
			accepts(t, sh, "-n", filepath.Join(dir, "maxconn.sh"))
		}
	}
}

// prlimit takes the limits in the script's words, of a process that the test started.
func TestShellLimitsAProcess(t *testing.T) {
	tool(t, "prlimit")
	tool(t, "sh")
	sleeper := exec.Command(tool(t, "sleep"), "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	pid := sleeper.Process.Pid
	script := string(scriptHead) + "limits_to " + strconv.Itoa(pid) + " 0 64:128\n"
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	limits, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "),
		"Max open files 64 128 ") {
		t.Errorf("%v: %s", err, limits)
	}
	if out, err := exec.Command("sh", "-c",
		string(scriptHead)+"limits_to "+strconv.Itoa(pid)+
			" 5 65:128\n").CombinedOutput(); err == nil ||
		!strings.Contains(string(out), "is another one") {
		t.Errorf("another start time: %v: %s", err, out)
	}
}

func TestSystemdVerifies(t *testing.T) {
	verify := func(files []File) string {
		dir := t.TempDir()
		lay(t, dir, files)
		lay(t, dir, []File{{Path: "/etc/systemd/system/nginx.service",
			Text: "[Service]\nExecStart=/bin/true\n"}})
		c := exec.Command(tool(t, "systemd-analyze"), "verify",
			filepath.Join(dir, "etc/systemd/system/nginx.service"))
		c.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+filepath.Join(dir,
			"etc/systemd/system")+":", "SYSTEMD_LOG_LEVEL=warning")
		out, _ := c.CombinedOutput() // other units of this host may be at fault
		return string(out)
	}
	files := exports(t, exported(t), Systemd)
	if out := verify(files); strings.Contains(out, dropIn) {
		t.Errorf("%s", out)
	}
	for i := range files {
		files[i].Text = strings.ReplaceAll(files[i].Text, "131072:131072", "many")
	}
	if out := verify(files); !strings.Contains(out, dropIn) {
		t.Skipf("systemd-analyze does not look at drop-ins here: %s", out)
	}
}

func TestAnsibleChecksSyntax(t *testing.T) {
	dir := t.TempDir()
	files := exports(t, exported(t), Ansible)
	parseYAML(t, files[0].Text)
	lay(t, dir, files)
	accepts(t, "ansible-playbook", "--syntax-check", "-i", "edge-1,",
		filepath.Join(dir, files[0].Path))
}

func parseYAML(t *testing.T, text string) (doc any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return doc
}

// The files that user data writes are, byte for byte, those of the format systemd.
func TestCloudInitSchema(t *testing.T) {
	p := exported(t)
	files := exports(t, p, CloudInit)
	doc := parseYAML(t, files[0].Text).(map[string]any)
	for i, f := range doc["write_files"].([]any) {
		f := f.(map[string]any)
		if want := exports(t, p, Systemd)[i]; f["path"] != want.Path ||
			f["content"] != want.Text {
			t.Errorf("%s: %q, want %q", f["path"], f["content"], want.Text)
		}
	}
	dir := t.TempDir()
	lay(t, dir, files)
	accepts(t, "cloud-init", "schema", "--config-file", filepath.Join(dir, files[0].Path))
}

// systemPython is the interpreter that the distribution's packages are installed for;
// another one may come first in PATH.
func systemPython(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("/usr/bin/python3"); err == nil {
		return path
	}
	return tool(t, "python3")
}

// TuneD's own loader reads the profile.
func TestTunedLoads(t *testing.T) {
	p := exported(t)
	dir := t.TempDir()
	lay(t, dir, exports(t, p, Tuned))
	const loader = `
import sys
try:
    from tuned.profiles.variables import Variables
    from tuned.profiles.locator import Locator
    from tuned.profiles.factory import Factory
    from tuned.profiles.merger import Merger
    from tuned.profiles.loader import Loader
except ImportError as e:
    print("skip", e)
    sys.exit(0)
p = Loader(Locator([sys.argv[1]]), Factory(), Merger(), None, Variables()).load(["maxconn"])
for k, v in p.units["sysctl"].options.items():
    print(k + "=" + v)
`
	out, err := exec.Command(systemPython(t), "-c", loader,
		filepath.Join(dir, "etc/tuned")).CombinedOutput()
	if bytes.HasPrefix(out, []byte("skip")) {
		unavailable(t, "TuneD is not installed: "+string(out))
	}
	for _, c := range p.Changes {
		if c.Target.Kind == host.SysctlKind &&
			(err != nil || !strings.Contains(string(out),
				c.Target.Name+"="+c.To+"\n")) {
			t.Errorf("%s = %s: %v\n%s", c.Target.Name, c.To, err, out)
		}
	}
}

func TestNixParses(t *testing.T) {
	dir := t.TempDir()
	files := exports(t, exported(t), NixOS)
	lay(t, dir, files)
	out, err := nix(t, "--parse", filepath.Join(dir, files[0].Path)).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// nix is nix-instantiate with a state of its own: that of the host belongs to root.
func nix(t *testing.T, args ...string) *exec.Cmd {
	c := exec.Command(tool(t, "nix-instantiate"), args...)
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "NIX_STATE_DIR="+t.TempDir())
	return c
}

// kustomize merges the patch into a deployment.
func TestKubernetesPatch(t *testing.T) {
	files := exports(t, exported(t), Kubernetes)
	parseYAML(t, files[0].Text)
	dir := t.TempDir()
	lay(t, dir, append(files,
		File{Path: "kustomization.yaml",
			Text: "resources: [web.yaml]\npatches:\n  - path: " + files[0].Path +
				"\n    target: {kind: " +
				"Deployment}\n"},
		File{Path: "web.yaml",
			Text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " +
				"web}\nspec:\n  selector: {matchLabels: {app: web}}\n  " +
				"template:\n    metadata: {labels: {app: web}}\n    spec: " +
				"{containers: [{name: web, image: nginx}]}\n"}))
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not installed, and not every Debian has it")
	}
	merged := parseYAML(t, accepts(t, "kubectl", "kustomize", dir)).(map[string]any)
	pod := merged["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	var names []string
	for _, s := range pod["securityContext"].(map[string]any)["sysctls"].([]any) {
		s := s.(map[string]any)
		names = append(names, s["name"].(string)+"="+s["value"].(string))
	}
	if pod["containers"] == nil || !slices.Contains(names, "net.ipv4.tcp_tw_reuse=1") ||
		slices.ContainsFunc(names, func(n string) bool {
			return strings.Contains(n, "conntrack")
		}) {
		t.Errorf("%v", pod)
	}
}

// Files that are read at boot do not reach the network namespace of a container, and say so.
func TestExportOfAChild(t *testing.T) {
	p := exported(t)
	for scope, wants := range map[string]bool{"child": true, "initial": false, "": false} {
		p.Host.Scope = scope
		for _, x := range Formats() {
			f := x.Format
			says := strings.Contains(exports(t, p, f)[0].Text,
				"network namespace other than the host's own")
			if want := wants && f != Kubernetes && f != Shell; says != want {
				t.Errorf("%s, scope %q: %v, want %v", f, scope, says, want)
			}
		}
	}
}
