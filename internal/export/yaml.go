package export

import (
	"path"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// playbook collects the text of a playbook: a string that is not a constant is one that Ansible
// does not template.
type playbook = encode.Builder[encode.Ansible]

func playComments(texts ...string) encode.Ansible {
	return encode.Comment[encode.Ansible]("#", texts...)
}

// ansible is a playbook of built-in modules: files, and what makes them act now. Ansible hands
// every string of a playbook to Jinja, which can run commands on the controller.
func (x export) ansible() string {
	var b playbook
	b.Write("---\n", playComments(x.about...), x.play())
	if module, _, _ := x.boot.Module(); module != "" {
		name := encode.Plain[encode.Ansible](module)
		b.Write("    - name: Load ", name, ", so that its settings are there\n",
			"      ansible.builtin.command: modprobe ", name,
			"\n      changed_when: false\n")
	}
	files := x.laid()
	for _, f := range files {
		b.Write(task(f))
	}
	if len(files) == 0 {
		b.Write("    - name: Nothing that a file could do\n",
			"      ansible.builtin.debug:\n        msg: \"see the comments\"\n")
	}
	b.Write(
		"  handlers:\n    - name: Read the settings\n      ansible.builtin.command: "+
			"sysctl -p ",
		persist.ExportedSysctl,
		"\n      changed_when: true\n    - name: Read the units\n      "+
			"ansible.builtin.systemd:\n",
		"        daemon_reload: true\n",
	)
	b.Write(playComments(x.beyond("What this playbook does not do:")...))
	return b.String()
}

// nobody is a pattern that matches no host.
const nobody = "put-the-name-of-the-host-here"

// play begins the play. hosts is the host that the plan was made for; a name that means more than
// one host to Ansible would choose others.
func (x export) play() (out encode.Ansible) {
	name := x.plan.Host.Name
	if !isHost(name) {
		out = playComments(
			"The name of the host cannot be told to Ansible: put it in at hosts.")
		name = nobody
	}
	return out + "- name: Connection limits by maxconn\n  hosts: \"" +
		encode.Plain[encode.Ansible](
			name,
		) + "\"\n  become: true\n  tasks:\n"
}

// task writes a file, and its directory before it.
func task(f File) encode.Ansible {
	place := encode.AnsibleString
	var b playbook
	b.Write(
		"    - name: ",
		title("Make ", path.Dir(f.Path)),
		"\n      ansible.builtin.file:\n",
		"        path: ",
		place(path.Dir(f.Path)),
		"\n        state: directory\n        mode: \"0755\"\n",
	)
	b.Write("    - name: ", title("Write ", f.Path), "\n      ansible.builtin.copy:\n",
		"        dest: ", place(f.Path), "\n        mode: \"0644\"\n",
		"        content: ", encode.AnsibleText("          ", f.Text), "\n")
	switch {
	case f.Path == persist.ExportedSysctl:
		b.Write("      notify: Read the settings\n")
	case strings.HasPrefix(f.Path, persist.UnitDir):
		b.Write("      notify: Read the units\n")
	}
	return b.Text()
}

// title is the name of a task.
func title(what encode.Ansible, file string) encode.Ansible {
	return "\"" + what + encode.Plain[encode.Ansible](file) + "\""
}

func yamlComments(mark encode.YAML, texts ...string) encode.YAML {
	return encode.Comment(mark, texts...)
}

// cloudInit is user data: the files, and what makes them act in this boot, which has read sysctl.d
// already.
func (x export) cloudInit() string {
	var b encode.Builder[encode.YAML]
	b.Write("#cloud-config\n", yamlComments("#", x.about...))
	files := x.laid()
	if len(files) > 0 {
		b.Write("write_files:\n")
	}
	for _, f := range files {
		b.Write("  - path: ", encode.YAMLString(f.Path), "\n    permissions: \"0644\"\n",
			"    content: ", encode.YAMLText("      ", f.Text), "\n")
	}
	b.Write("runcmd:\n")
	if module, _, _ := x.boot.Module(); module != "" {
		b.Write("  - [modprobe, ", encode.Plain[encode.YAML](module), "]\n")
	}
	if len(x.boot.Sysctls) > 0 {
		b.Write("  - [sysctl, -p, ", persist.ExportedSysctl, "]\n")
	}
	b.Write("  - [systemctl, daemon-reload]\n")
	b.Write(yamlComments("#", x.beyond("What user data does not do:")...))
	return b.String()
}

// inPod says whether a pod has the setting for itself: a value of its network namespace,
// which it may write.
func inPod(name string) bool {
	k := knob.Lookup(name)
	return k != nil && k.Scope.OfNetns()
}

// safeSince is the release of Kubernetes from which on a kubelet allows it without being told to.
func safeSince(name string) (v host.Version) {
	if k := knob.Lookup(name); k != nil {
		v = k.SafeInPods
	}
	return v
}

// kubernetes is a strategic merge patch for a workload with a pod template: the sysctls of its
// network namespace.
func (x export) kubernetes() string {
	var pod, node []plan.Change
	for _, c := range x.boot.Sysctls {
		if inPod(c.Target.Name) {
			pod = append(pod, c)
		} else {
			node = append(node, c)
		}
	}
	var b encode.Builder[encode.YAML]
	b.Write(yamlComments("#", x.about...))
	b.Write(
		yamlComments(
			"#",
			"kubectl patch deployment NAME --patch-file FILE, or a patch of "+
				"kustomize; a pod does not inherit settings of its node.",
		),
	)
	b.Write(
		"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: any\nspec:\n  "+
			"template:\n    spec:\n",
		"      securityContext:\n        sysctls:",
	)
	if len(pod) == 0 {
		b.Write(" []")
	}
	b.Write("\n")
	for _, c := range pod {
		b.Write(podSysctl(c))
	}
	b.Write(yamlComments("#", x.beyondPod("What a pod cannot do:", node)...))
	return b.String()
}

func podSysctl(c plan.Change) encode.YAML {
	const mark = "          #"
	head := yamlComments(mark, persist.Reason(c))
	switch since := safeSince(c.Target.Name); {
	case since.IsZero():
		head += yamlComments(mark, "Not in the safe set: the kubelet needs "+
			"--allowed-unsafe-sysctls="+c.Target.Name)
	case host.V(1, 4).Compare(since) < 0:
		head += yamlComments(mark, "In the safe set since Kubernetes "+since.String()+
			"; an older kubelet needs --allowed-unsafe-sysctls="+c.Target.Name)
	}
	return head + "          - name: " + yamlKey(c.Target.Name) +
		"\n            value: " + encode.YAMLString(c.To) + "\n"
}

// yamlKey is the name of a sysctl, bare where it is one of the usual kind.
func yamlKey(name string) encode.YAML {
	if strings.HasPrefix(name, "net.") && encode.Only(name, "._-") {
		return encode.Plain[encode.YAML](name)
	}
	return encode.YAMLString(name)
}

// beyondPod is what has to be done elsewhere, below a heading.
func (x export) beyondPod(heading string, node []plan.Change) []string {
	var more []string
	for _, c := range node {
		more = append(more, "on the node: "+c.Target.Name+" = "+c.To)
	}
	for _, c := range x.plan.Changes {
		switch {
		case c.Target.Kind == host.ProcessKind && c.Target.Field == "soft":
			more = append(more, c.Setting+": descriptor limits "+c.Limits+
				", set by the container runtime (LimitNOFILE of its unit, or "+
				"default_ulimits)")
		case c.Target.Kind == host.ListenerKind:
			more = append(more, c.Setting+": the program has to ask for a backlog of "+
				c.To)
		}
	}
	return under(heading, append(more, x.refused...))
}

// isHost says whether a text names one host to Ansible, and not a pattern, a group or the
// controller itself (Ansible documentation, "Patterns: targeting hosts and groups").
func isHost(name string) bool {
	switch name {
	case "", "all", "ungrouped", "localhost":
		return false
	}
	return len(name) < 254 && encode.Only(name, ".-_") && name[0] != '-' && name[0] != '.'
}
