package plan

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// yamlString is a double-quoted scalar: nothing in it means anything to YAML.
func yamlString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(oneLine(s)) + `"`
}

// block is a literal block scalar, indented.
func block(indent, text string) string {
	var b strings.Builder
	b.WriteString("|\n")
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			b.WriteString("\n")
			continue
		}
		b.WriteString(indent + line)
	}
	return b.String()
}

// ansible is a playbook of built-in modules: files, and what makes them act now.
func (x export) ansible() string {
	var b strings.Builder
	b.WriteString("---\n" + comments("#", x.about()...))
	b.WriteString("- name: Connection limits by maxconn\n  hosts: " + yamlString(playHost(x.plan)) + "\n  become: true\n  tasks:\n")
	files := slices.DeleteFunc(x.systemd(), func(f File) bool { return strings.HasSuffix(f.Path, "README") })
	if x.tracks() {
		b.WriteString("    - name: Load nf_conntrack, so that its settings are there\n      ansible.builtin.command: modprobe nf_conntrack\n      changed_when: false\n")
	}
	for _, f := range files {
		dir := f.Path[:strings.LastIndexByte(f.Path, '/')]
		b.WriteString("    - name: " + yamlString("Make "+dir) + "\n      ansible.builtin.file:\n        path: " + yamlString(dir) + "\n        state: directory\n        mode: \"0755\"\n")
		b.WriteString("    - name: " + yamlString("Write "+f.Path) + "\n      ansible.builtin.copy:\n        dest: " + yamlString(f.Path) + "\n        mode: \"0644\"\n        content: " + block("          ", f.Text))
		if f.Path == sysctlFile {
			b.WriteString("      notify: Read the settings\n")
		} else if strings.Contains(f.Path, ".service.d/") {
			b.WriteString("      notify: Read the units\n")
		}
	}
	if len(files) == 0 {
		b.WriteString("    - name: Nothing that a file could do\n      ansible.builtin.debug:\n        msg: \"see the comments\"\n")
	}
	b.WriteString("  handlers:\n")
	b.WriteString("    - name: Read the settings\n      ansible.builtin.command: sysctl -p " + sysctlFile + "\n      changed_when: true\n")
	b.WriteString("    - name: Read the units\n      ansible.builtin.systemd:\n        daemon_reload: true\n")
	if more := x.beyond(true); len(more) > 0 {
		b.WriteString(comments("#", append([]string{"What this playbook does not do:"}, more...)...))
	}
	return b.String()
}

// playHost is the host that the plan was made for.
func playHost(p Plan) string {
	if p.Host.Name == "" {
		return "all"
	}
	return oneWord(p.Host.Name)
}

// cloudInit is user data: the files, and what makes them act in this boot, which has read sysctl.d already.
func (x export) cloudInit() string {
	var b strings.Builder
	b.WriteString("#cloud-config\n" + comments("#", x.about()...))
	files := slices.DeleteFunc(x.systemd(), func(f File) bool { return strings.HasSuffix(f.Path, "README") })
	if len(files) > 0 {
		b.WriteString("write_files:\n")
	}
	for _, f := range files {
		b.WriteString("  - path: " + yamlString(f.Path) + "\n    permissions: \"0644\"\n    content: " + block("      ", f.Text))
	}
	b.WriteString("runcmd:\n")
	if x.tracks() {
		b.WriteString("  - [modprobe, nf_conntrack]\n")
	}
	if len(x.sysctls) > 0 {
		b.WriteString("  - [sysctl, -p, " + sysctlFile + "]\n")
	}
	b.WriteString("  - [systemctl, daemon-reload]\n")
	if more := x.beyond(true); len(more) > 0 {
		b.WriteString(comments("#", append([]string{"What user data does not do:"}, more...)...))
	}
	return b.String()
}

// inPod says whether a pod has the setting for itself: a value of its network namespace, which it may
// write. safe says that a kubelet allows it without being told to.
func inPod(name string) (own, safe bool) {
	k := knob.Lookup(name)
	return k != nil && k.Scope.OfNetns(), k != nil && k.SafeInPods
}

// kubernetes is a strategic merge patch for a workload with a pod template: the sysctls of its network namespace.
func (x export) kubernetes() string {
	var pod, node []Change
	for _, c := range x.sysctls {
		if own, _ := inPod(c.Target.Name); own {
			pod = append(pod, c)
		} else {
			node = append(node, c)
		}
	}
	var b strings.Builder
	b.WriteString(comments("#", x.about()...))
	b.WriteString(comments("#", "kubectl patch deployment NAME --patch-file FILE, or a patch of kustomize; a pod does not inherit settings of its node."))
	b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: any\nspec:\n  template:\n    spec:\n      securityContext:\n        sysctls:")
	if len(pod) == 0 {
		b.WriteString(" []")
	}
	b.WriteString("\n")
	for _, c := range pod {
		b.WriteString(comments("          #", "Was "+shown(c.From)+". "+c.Why+"."))
		if _, safe := inPod(c.Target.Name); !safe {
			b.WriteString(comments("          #", "Not in the safe set: the kubelet needs --allowed-unsafe-sysctls="+c.Target.Name))
		}
		b.WriteString("          - name: " + c.Target.Name + "\n            value: " + yamlString(c.To) + "\n")
	}
	var more []string
	for _, c := range node {
		more = append(more, "on the node: "+c.Target.Name+" = "+c.To)
	}
	for _, c := range x.plan.Changes {
		if c.Target.Kind == host.ProcessKind && c.Target.Field == "soft" {
			more = append(more, c.Setting+": descriptor limits "+c.Limits+", set by the container runtime (LimitNOFILE of its unit, or default_ulimits)")
		}
	}
	for _, c := range x.listeners {
		more = append(more, c.Setting+": the program has to ask for a backlog of "+c.To)
	}
	if len(more) > 0 {
		b.WriteString(comments("#", append([]string{"What a pod cannot do:"}, more...)...))
	}
	return b.String()
}
