package export

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// control is a harmless text that no field gives a meaning to.
const control = "zzz"

// fields are the paths of all strings of a plan.
func fields(p plan.Plan) (paths []string) {
	hostile.Each(&p, func(path string, _ reflect.Value) { paths = append(paths, path) })
	slices.Sort(paths)
	return slices.Compact(paths)
}

// with is a copy of the plan with a text in one field, wherever it stands.
func with(t *testing.T, p plan.Plan, field, text string) plan.Plan {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var c plan.Plan
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	found := false
	hostile.Each(&c, func(path string, v reflect.Value) {
		if path == field {
			v.SetString(text)
			found = true
		}
	})
	if !found {
		t.Fatalf("a plan has no %s", field)
	}
	return c
}

// places are all files that an export may write: none is called as the plan says, but for the
// directory of a service.
var places = regexp.MustCompile(
	`^(/etc/sysctl\.d/zz-maxconn-plan\.conf|/etc/modules-load\.d/maxconn-plan\.conf|` +
		`/etc/modprobe\.d/zz-maxconn-plan\.conf|` +
		`/etc/systemd/system/nginx\.service\.d/zz-maxconn-plan\.conf|` +
		`/etc/udev/rules\.d/91-maxconn-plan-[A-Za-z0-9._@:-]+\.rules|/etc/maxconn\.README|` +
		`/etc/tuned/maxconn/tuned\.conf|` +
		`maxconn\.yml|user-data|maxconn\.nix|maxconn-patch\.yaml|maxconn\.sh)$`,
)

// Every hostile text in every field of a plan stays data in every export: it makes no line, key,
// command or path.
func TestHostileFieldsStayData(t *testing.T) {
	p := exported(t)
	for _, field := range fields(p) {
		for _, x := range Formats() {
			want := shape(t, x.Format, exports(t, with(t, p, field, control), x.Format))
			refused := shape(t, x.Format,
				exports(t, with(t, p, field, "\x00"), x.Format))
			for _, text := range hostile.Strings("/tmp") {
				files := exports(t, with(t, p, field, text), x.Format)
				for _, f := range files {
					if !places.MatchString(f.Path) {
						t.Errorf("%s, %s is %.60q: a file %q", x.Format,
							field, text, f.Path)
					}
					for line := range strings.SplitSeq(f.Text, "\n") {
						if !encode.IsVisible(strings.ReplaceAll(line, "\t",
							"")) {
							t.Errorf("%s, %s is %.60q: a line %q",
								x.Format, field, text, line)
						}
					}
				}
				if have := shape(t, x.Format, files); have != want &&
					have != refused &&
					!plainChoice(field, text) {
					t.Errorf(
						"%s, %s is %.60q: %s\nwant the shape of a "+
							"harmless word: %s",
						x.Format,
						field,
						text,
						have,
						want,
					)
				}
			}
		}
	}
}

// plainChoice says that a text is one that the field may well have: a plan may leave a name or a
// value empty, or set it to a number or a word.
func plainChoice(field, text string) bool {
	switch field {
	case "Host.Name",
		"Changes[].Target.Name",
		"Changes[].To",
		"Changes[].Unit",
		"Changes[].Target.Field",
		"Changes[].From":
		return encode.IsPlain(text)
	}
	return false
}

// shape is what a consumer sees beside comments and data.
func shape(t *testing.T, format Format, files []File) string {
	t.Helper()
	var b strings.Builder
	for _, f := range files {
		b.WriteString(f.Path + "\n")
		switch format {
		case Ansible, CloudInit, Kubernetes:
			b.WriteString(yamlShape(t, f.Text))
		case Shell:
			b.WriteString(shellShape(t, f.Text))
		case NixOS:
			b.WriteString(uncommented(f.Text))
		default:
			for line := range strings.Lines(uncommented(f.Text)) {
				if !settingLine.MatchString(line) {
					t.Errorf("%s: not a line of such a file: %q", f.Path, line)
				}
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

var settingLine = regexp.MustCompile(
	`^([A-Za-z0-9._/-]+ ?= ?[A-Za-z0-9 :,@._-]+|` +
		`\[[A-Za-z]+\]|nf_conntrack|options nf_conntrack hashsize=[0-9]+|` +
		`ACTION=="add\|move", SUBSYSTEM=="net", (NAME=="[A-Za-z0-9._@:-]+"|` +
		`KERNEL=="[A-Za-z0-9._@:-]+", NAME==""), ATTR\{tx_queue_len\}="[0-9]+"|)\n$`,
)

func uncommented(text string) (out string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			out += line
		}
	}
	return out
}

// yamlShape is a document without the contents of files. What Ansible would template is marked as
// not to be.
func yamlShape(t *testing.T, text string) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Errorf("%v\n%s", err, text)
		return ""
	}
	var walk func(n *yaml.Node) string
	walk = func(n *yaml.Node) (out string) {
		if n.Kind == yaml.ScalarNode {
			if strings.ContainsAny(n.Value, "{}") && n.Tag != "!unsafe" &&
				strings.HasPrefix(text, "---") {
				t.Errorf("Ansible templates %q", n.Value)
			}
			return n.Tag + " " + uncommented(n.Value) + "\n"
		}
		for _, c := range n.Content {
			out += walk(c)
		}
		return n.Tag + "(" + out + ")"
	}
	return walk(&doc)
}

// shellShape is the commands of a script; their words are data where they are one quoted string.
func shellShape(t *testing.T, text string) (out string) {
	t.Helper()
	file, err := syntax.NewParser(
		syntax.Variant(syntax.LangPOSIX),
	).Parse(
		strings.NewReader(text),
		"",
	)
	if err != nil {
		t.Errorf("%v\n%s", err, text)
		return ""
	}
	for _, s := range file.Stmts {
		call, ok := s.Cmd.(*syntax.CallExpr)
		if !ok {
			out += reflect.TypeOf(s.Cmd).String() + "\n"
			continue
		}
		for _, w := range call.Args {
			for _, part := range w.Parts {
				switch part := part.(type) {
				case *syntax.Lit:
					if part.Value != `\'` { // inside a quoted word
						out += part.Value + " "
					}
				case *syntax.SglQuoted:
				default:
					t.Errorf("a word of the script expands: %v", part)
				}
			}
		}
		out += "\n"
	}
	return out
}

// hostilePlan has every hostile text somewhere where it ends up in a file.
func hostilePlan(t *testing.T, dir string) plan.Plan {
	t.Helper()
	p := exported(t)
	all := hostile.Strings(dir)
	p.Host.Name, p.Host.Kernel = `{{lookup('pipe','touch `+dir+`/zqcanary')}}`, strings.Join(
		all,
		" ",
	)
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Why = strings.Join(all, " ") + " " + all[i%len(all)]
		c.Setting, c.Owner, c.Limit = all[(i+1)%len(all)], all[(i+2)%len(all)],
			all[(i+3)%len(all)]
	}
	for _, text := range all {
		for _, c := range slices.Clone(p.Changes[:12]) {
			c.Target.Name = text
			p.Changes = append(p.Changes, c)
		}
	}
	return p
}

// untouched fails where a command of a name was executed.
func untouched(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("executed: %v %v", entries, err)
	}
}

// ansible-playbook writes the files of a hostile plan as they are, and runs nothing of it.
func TestAnsibleRunsNothingOfAPlan(t *testing.T) {
	program := tool(t, "ansible-playbook")
	canary, root, home := t.TempDir(), t.TempDir(), t.TempDir()
	p := hostilePlan(t, canary)
	play := exports(t, p, Ansible)[0].Text
	play = strings.NewReplacer(
		"become: true",
		"become: false",
		`!unsafe "/etc/`,
		`!unsafe "`+root+`/etc/`,
		nobody,
		"localhost",
		"command: modprobe nf_conntrack",
		"command: 'true'",
		"command: sysctl -p "+persist.ExportedSysctl,
		"command: 'true'",
		"ansible.builtin.systemd:\n        daemon_reload: true",
		"ansible.builtin.debug:\n        msg: reloaded",
	).Replace(
		play,
	)
	file := filepath.Join(home, "play.yml")
	if err := os.WriteFile(file, []byte(play), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--syntax-check"}, nil} {
		c := exec.Command(
			program,
			append(
				args,
				"-i",
				"localhost,",
				"-c",
				"local",
				"-e",
				"ansible_python_interpreter="+systemPython(t),
				file,
			)...)
		c.Env = append(
			os.Environ(),
			"HOME="+home,
			"ANSIBLE_LOCAL_TEMP="+home,
			"ANSIBLE_REMOTE_TEMP="+home,
			"ANSIBLE_NOCOWS=1",
		)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%.3000s", args, err, out)
		}
	}
	untouched(t, canary)
	for _, f := range exports(t, p, Systemd) {
		have, err := os.ReadFile(filepath.Join(root, f.Path))
		if f.Path != readme && (err != nil || string(have) != f.Text) {
			t.Errorf("%s: %v\n%.300q\nwant\n%.300q", f.Path, err, have, f.Text)
		}
	}
}

// sh runs the commands of the script with their words as they are, and nothing else.
func TestShellRunsNothingOfAPlan(t *testing.T) {
	canary := t.TempDir()
	p := hostilePlan(t, canary)
	for i := range p.Changes {
		p.Changes[i].From = strings.ReplaceAll("'; touch DIR; $(touch DIR) `touch DIR`\n",
			"DIR", canary+"/from")
	}
	script := exports(t, p, Shell)[0].Text
	_, commands, ok := strings.Cut(script, string(scriptHead))
	if !ok {
		t.Fatal("the script has another head")
	}
	const stubs = "set -eu\nsaid() { printf '%s|' \"$@\"; echo; }\n" +
		"sysctl_to() { said sysctl_to \"$@\"; }\nlimits_to() { said limits_to \"$@\"; }\n" +
		"maxconn() { said maxconn \"$@\"; }\nip() { said ip \"$@\"; }\n"
	for _, sh := range []string{"sh", "bash"} {
		c := exec.Command(tool(t, sh))
		c.Stdin = strings.NewReader(stubs + commands)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if n := strings.Count(string(out), "\n"); n != len(
			exported(t).Changes,
		)-hardLimits(
			exported(t),
		) {
			t.Errorf("%d commands:\n%s", n, out)
		}
		if want := "sysctl_to|net.core.somaxconn|" + encode.Visible(p.Changes[0].From) +
			"|8192|\n"; !strings.Contains(
			string(out),
			want,
		) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	untouched(t, canary)
}

func hardLimits(p plan.Plan) (n int) {
	for _, c := range p.Changes {
		if c.Target.Field == "hard" {
			n++
		}
	}
	return n
}

// nix evaluates the module to the values of the plan.
func TestNixEvaluatesToThePlan(t *testing.T) {
	canary, dir := t.TempDir(), t.TempDir()
	p := hostilePlan(t, canary)
	files := exports(t, p, NixOS)
	lay(t, dir, files)
	out, err := nix(t, "--eval", "--strict", "--json", "-E",
		"import "+filepath.Join(dir, files[0].Path)+" {}").Output()
	var module struct {
		Boot struct {
			Kernel struct{ Sysctl map[string]any }
		}
	}
	if err != nil || json.Unmarshal(out, &module) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(module.Boot.Kernel.Sysctl) != 5 ||
		module.Boot.Kernel.Sysctl["net.core.somaxconn"] != 8192.0 {
		t.Errorf("%s", out)
	}
	untouched(t, canary)
}

// The readers of files see what they see of a harmless plan.
func TestReadersOfHostileFiles(t *testing.T) {
	canary, dir := t.TempDir(), t.TempDir()
	p := hostilePlan(t, canary)
	files := exports(t, p, Systemd)
	lay(t, dir, files)
	text := files[0].Text
	for _, program := range []sysctld.Program{sysctld.Systemd, sysctld.Procps} {
		if have := sysctld.Parse(program, "x", []byte(text)); len(have) != 5 {
			t.Errorf("%v reads %v", program, have)
		}
	}
	lay(
		t,
		dir,
		[]File{
			{Path: "/etc/systemd/system/nginx.service",
				Text: "[Service]\nExecStart=/bin/true\n"},
		},
	)
	c := exec.Command(
		tool(t, "systemd-analyze"),
		"verify",
		filepath.Join(dir, "etc/systemd/system/nginx.service"),
	)
	c.Env = append(
		os.Environ(),
		"SYSTEMD_UNIT_PATH="+filepath.Join(dir, "etc/systemd/system")+":",
		"SYSTEMD_LOG_LEVEL=warning",
	)
	if out, _ := c.CombinedOutput(); strings.Contains(string(out), dropIn) {
		t.Errorf("%s", out)
	}
	user := exports(t, p, CloudInit)
	lay(t, dir, user)
	accepts(t, "cloud-init", "schema", "--config-file", filepath.Join(dir, user[0].Path))
	out := accepts(t, "modprobe", "--showconfig", "-C", filepath.Join(dir, "etc/modprobe.d"))
	if !strings.Contains(out, "options nf_conntrack hashsize=524288\n") ||
		strings.Contains(out, "touch") {
		t.Errorf("modprobe reads %s", out)
	}
	untouched(t, canary)
}
