package archtest

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// debian is a pretended Debian for scripts/debian-packages.sh: a directory of installed packages,
// one of enabled units, and programs that work on these and write down that they were called.
type debian struct {
	*testing.T
	dir string
}

// stubs are its programs. apt-get asks policy-rc.d, as dpkg's scripts do.
var stubs = map[string]string{
	"id": `cat "$D/uid"`,
	"dpkg-query": `case $1 in
-L) shift; for p in "$@"; do echo /usr/lib/systemd/system/$p.service; done ;;
*) if [ $# = 3 ]; then ls "$D/installed" | sed 's/^/installed /'
  else [ -e "$D/installed/$4" ] && printf installed; fi ;;
esac`,
	"apt-get": `echo "apt-get $*" >>"$D/called"
case "$*" in
*\ update) ;;
*install\ -s*) cat "$D/plan" ;;
*install*)
  "$POLICY_RC_D" >/dev/null 2>&1; echo $? >"$D/policy-said"
  for p in "$@"; do case $p in -*|install) ;; *)
    : >"$D/installed/$p"; ln -s x "$SYSTEMD_DIR/$p.service"
    [ ! -e "$D/hang" ] || { : >"$D/hangs"; read -r _ <"$D/hang"; } ;; esac; done ;;
esac`,
	"systemctl": `echo "systemctl $*" >>"$D/called"; rm -f "$SYSTEMD_DIR/$3"`,
}

func newDebian(t *testing.T, installed ...string) debian {
	t.Helper()
	d := debian{t, t.TempDir()}
	for _, sub := range []string{"bin", "installed", "systemd"} {
		d.must(os.Mkdir(filepath.Join(d.dir, sub), 0o755))
	}
	for name, text := range stubs {
		d.write("bin/"+name, "#!/bin/bash\n"+text+"\n", 0o755)
	}
	d.write("uid", "0\n", 0o644)
	d.write("plan", "", 0o644)
	for _, p := range installed {
		d.write("installed/"+p, "", 0o644)
		d.must(os.Symlink("x", filepath.Join(d.dir, "systemd", p+".service")))
	}
	return d
}

func (d debian) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d debian) write(name, text string, mode os.FileMode) {
	d.Helper()
	d.must(os.WriteFile(filepath.Join(d.dir, name), []byte(text), mode))
}

func (d debian) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(d.dir, name)) // "" for a file that is not there
	return string(text)
}

func (d debian) names(sub string) string {
	d.Helper()
	entries, err := os.ReadDir(filepath.Join(d.dir, sub))
	d.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (d debian) command() *exec.Cmd {
	d.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		d.Skip(err)
	}
	c := exec.Command(bash, filepath.Join(root(d.T), "scripts", "debian-packages.sh"))
	c.Env = append(os.Environ(), "CI=", "D="+d.dir,
		"POLICY_RC_D="+filepath.Join(d.dir, "policy"),
		"SYSTEMD_DIR="+filepath.Join(d.dir, "systemd"),
		"PATH="+filepath.Join(d.dir, "bin")+":"+os.Getenv("PATH"))
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

func (d debian) run() (met, said string) {
	d.Helper()
	var errs strings.Builder
	c := d.command()
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		d.Fatalf("%v\n%s%s", err, out, &errs)
	}
	return strings.TrimSpace(string(out)), errs.String()
}

// requirement is what the script calls some packages together.
type requirement struct {
	name     string
	packages []string
}

// wanted are the requirements, as the script has them.
func wanted(t *testing.T) (all []requirement) {
	text, err := os.ReadFile(filepath.Join(root(t), "scripts", "debian-packages.sh"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^  "(\w+) ([^"]+)"$`)
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		all = append(all, requirement{m[1], strings.Fields(m[2])})
	}
	return all
}

// requirements are their names, as the script prints them.
func requirements(t *testing.T) string {
	var names []string
	for _, r := range wanted(t) {
		names = append(names, r.name)
	}
	return strings.Join(names, ",")
}

func everything(t *testing.T) (all []string) {
	for _, r := range wanted(t) {
		all = append(all, r.packages...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Where all is there nothing is called, whoever runs it.
func TestPackagesAllThere(t *testing.T) {
	d := newDebian(t, everything(t)...)
	before := d.names("systemd")
	if met, said := d.run(); met != requirements(t) || said != "" {
		t.Errorf("met %q, said %q", met, said)
	}
	if called := d.read("called"); called != "" || d.names("systemd") != before {
		t.Errorf("called %s, enabled %s", called, d.names("systemd"))
	}
}

// The owner's packages and units stay as they are; of what is new nothing starts, now or at boot.
func TestPackagesKeepTheOwners(t *testing.T) {
	d := newDebian(t, "nginx-light", "tuned", "cloud-init")
	if met, said := d.run(); met != requirements(t) {
		t.Errorf("met %q, said %q", met, said)
	}
	if said := d.read("policy-said"); said != "101\n" {
		t.Errorf("policy-rc.d said %q while packages were installed", said)
	}
	enabled := d.names("systemd")
	if enabled != "cloud-init.service nginx-light.service tuned.service" {
		t.Errorf("enabled are %s\n%s", enabled, d.read("called"))
	}
	if _, err := os.Lstat(filepath.Join(d.dir, "policy")); err == nil {
		t.Error("policy-rc.d was left behind")
	}
}

func TestPackagesKeepTheOwnersPolicy(t *testing.T) {
	d := newDebian(t)
	const own = "#!/bin/sh\nexit 104\n"
	d.write("policy", own, 0o755)
	d.run()
	if d.read("policy") != own || d.read("policy-said") != "104\n" {
		t.Errorf("policy-rc.d is %q", d.read("policy"))
	}
}

// What would remove a package, or upgrade one of a machine that is not CI's, is not done.
func TestPackagesHarmNothing(t *testing.T) {
	for plan, ci := range map[string]string{
		"Remv nginx-full [1.2]\n": "CI=true", "Inst libc6 [2.36] (2.37 x)\n": "CI=",
	} {
		d := newDebian(t)
		d.write("plan", plan, 0o644)
		c := d.command()
		c.Env = append(c.Env, ci)
		out, err := c.CombinedOutput()
		said := strings.Contains(string(out), strings.TrimSpace(plan))
		if err != nil || d.names("installed") != "" || !said {
			t.Errorf("%s: %v, installed %q\n%s", plan, err, d.names("installed"), out)
		}
	}
}

func TestPackagesOfAnOrdinaryUser(t *testing.T) {
	d := newDebian(t, wanted(t)[0].packages...)
	d.write("uid", "1000\n", 0o644)
	met, said := d.run()
	if met != "servers" || !strings.Contains(said, "browser: missing chromium\n") {
		t.Errorf("met %q, said %q", met, said)
	}
	if called := d.read("called"); called != "" {
		t.Errorf("called %s", called)
	}
}

// hanging is the script while it installs its first package.
func (d debian) hanging() *exec.Cmd {
	d.Helper()
	d.must(syscall.Mkfifo(filepath.Join(d.dir, "hang"), 0o600))
	c := d.command()
	d.must(c.Start())
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(filepath.Join(d.dir, "hangs")); err == nil {
			return c
		}
		if time.Now().After(end) {
			d.Fatal("it does not install")
		}
	}
}

// A second run leaves the first one what keeps its services from starting.
func TestPackagesTwiceAtOnce(t *testing.T) {
	d := newDebian(t)
	first := d.hanging()
	d.must(os.Remove(filepath.Join(d.dir, "hang"))) // the first has it open
	policy := d.read("policy")
	_, said := d.run()
	if d.read("policy") != policy || !strings.Contains(said, "another run") {
		t.Errorf("the second run leaves policy-rc.d %q, and said %q", d.read("policy"),
			said)
	}
	d.must(syscall.Kill(-first.Process.Pid, syscall.SIGTERM))
	var ended *exec.ExitError
	if err := first.Wait(); !errors.As(err, &ended) {
		t.Error(err)
	}
}

// However the script ends, services may start again: at once, or, after a kill, as soon as it is
// gone. What it has installed by then starts at no boot, unless it was killed.
func TestPackagesInterrupted(t *testing.T) {
	// A caller such as nohup may have had signals ignored, which the script would inherit
	// (execve(2)); those that are caught here begin at their default there.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(caught)
	for _, sig := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL,
	} {
		d := newDebian(t)
		c := d.hanging()
		d.must(syscall.Kill(-c.Process.Pid, sig))
		var ended *exec.ExitError
		if err := c.Wait(); !errors.As(err, &ended) {
			t.Errorf("%v: ended with %v", sig, err)
		}
		policy := filepath.Join(d.dir, "policy")
		if _, err := os.Lstat(policy); err == nil {
			if err := exec.Command(policy).Run(); sig != syscall.SIGKILL || err != nil {
				t.Errorf("%v: policy-rc.d is left and says %v", sig, err)
			}
		}
		if left := d.names("systemd"); left != "" && sig != syscall.SIGKILL {
			t.Errorf("%v: enabled for the next boot: %s", sig, left)
		}
		d.must(os.Remove(filepath.Join(d.dir, "hang")))
		d.run()
		if _, err := os.Lstat(policy); err == nil || d.read("policy-said") != "101\n" {
			t.Errorf("%v: the next run leaves policy-rc.d, which said %q", sig,
				d.read("policy-said"))
		}
	}
}

// What changes the machine that CI runs on is in that script, and nowhere else.
func TestCIChangesNothingElse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"apt-get", "systemctl", "policy-rc.d", "dpkg"} {
		if strings.Contains(string(text), word) {
			t.Errorf(".ci/run has %s: it belongs into scripts/debian-packages.sh", word)
		}
	}
}
