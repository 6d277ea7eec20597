package lint

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// pods are the kinds of Kubernetes whose containers run commands.
var pods = set("Pod Deployment DaemonSet StatefulSet ReplicaSet Job CronJob PodTemplate " +
	"ReplicationController Rollout")

// worldOf is where the settings of a table act, by what stands beside them.
func (p *parser) worldOf(n *node, name string) world {
	w := p.world
	last := knob.Last(firstWord(name))
	switch {
	case n.has("apiVersion") && pods[n.at("kind")],
		n.has("op") && strings.HasSuffix(n.at("path"), "ecurityContext"): // a JSON patch
		w = world{scope: OfPod}
	case n.has("image") && p.lang == nil && strings.HasSuffix(strings.ToLower(last),
		"containers"): // values of a chart
		w.scope = OfPod
	case n.has("image") && n.has("script", "before_script"), // a job of GitLab
		n.has("container") && n.has("steps", "services") && p.lang == nil: // of GitHub
		w = world{scope: OfContainer}
	case last == "securityContext" || last == "podSecurityContext" ||
		last == "security_context":
		w.scope = OfPod
	case strings.Contains(name, "docker_container") || last == "podman_container" ||
		strings.Contains(name, "docker_service") || last == "oci-defaults" ||
		strings.Contains(name, "oci-defaults"),
		n.has("ociVersion") || n.has("containerDefinitions") || n.has("systemControls"),
		last == "linux" && n.has("sysctl", "sysctls"), // of the OCI runtime, and of CRI
		p.lang == nixText && last != "" && strings.HasPrefix(name+".", "containers."),
		n.has("image") && (n.has("sysctls") || n.has("sysctl") || n.has("ulimits") ||
			n.has("ulimit")):
		if w.scope == "" {
			w = world{scope: OfContainer}
		}
	}
	if n.at("network_mode", "net", "network") == "host" || n.at("hostNetwork") == "true" {
		w.hostNet = true
	}
	if n.at("privileged") == "true" || n.under("securityContext").at("privileged") == "true" {
		w.privileged = true
	}
	return w
}

// given is the world of what a runtime is told to set.
func (p *parser) given() world {
	w := p.world
	if w.scope == "" && p.ofDocker {
		w.scope = OfContainer
	}
	w.given = w.scope != ""
	return w
}

// givenIn is so where the items of a list are sysctls of a container.
func (p *parser) givenIn(name string) world {
	if strings.EqualFold(name, "systemControls") {
		return world{scope: OfContainer, given: true}
	}
	return p.world
}

// runtime is the world of a limit that a runtime sets.
func (p *parser) runtime() world {
	if w := p.given(); w.scope != "" {
		return w
	}
	return world{scope: OfContainer, given: true}
}

func isSysctls(key string) bool {
	key = strings.ToLower(key)
	return key == "sysctls" || key == "sysctl" || key == "systemcontrols"
}

func isUlimits(key string) bool {
	switch strings.ToLower(key) {
	case "ulimits", "ulimit", "default-ulimits", "default_ulimits", "rlimits",
		"resource-limits", "max-open-files", "max-processes":
		return true
	}
	return strings.HasSuffix(key, "resource-limits.max-open-files")
}

// ulimitIn gives default_sysctls their world, which containers.conf has beside it.
func (p *parser) ulimitIn(n *node, name string, taken map[*node]bool) {
	if v := n.under("default_sysctls"); v != nil {
		taken[v] = true
		p.within(world{scope: OfContainer, given: true}, func() { p.walk(v, "sysctls") })
	}
	if !isUlimits(knob.Last(name)) && !isUlimits(name) {
		return
	}
	p.within(p.runtime(), func() { p.ulimits(n) })
	for _, v := range n.items {
		taken[v] = true
	}
}

// ulimits takes those of a container: "nofile: 65536", soft and hard below it, a list of tables
// with the name in them, or of strings.
func (p *parser) ulimits(n *node) {
	switch {
	case n.kind == table && len(n.keys) == 1 && isUlimits(knob.Last(n.keys[0].String())):
		p.ulimits(n.items[0]) // Ulimit(name=..., soft=...)
	case n.kind == table && n.has("soft-limit", "hard-limit"):
		p.ulimitPair("max-open-files", n)
	case n.kind == list:
		for _, one := range n.items {
			if one.kind == scalar {
				p.goTo(one.row)
				p.containerUlimit(one.String())
			} else {
				p.ulimits(one)
			}
		}
	case n.kind == table && n.has("name", "type") && !n.under("name", "type").plain,
		n.kind == table && (strings.EqualFold(knob.Last(n.at("name")), "nofile") ||
			strings.HasPrefix(n.at("type"), "RLIMIT_")):
		p.ulimitPair(ulimitName(n.at("name", "type")), n)
	case n.kind == table:
		p.ulimitTable(n)
	}
}

func ulimitName(text string) string {
	return strings.ToLower(strings.TrimPrefix(knob.Last(text), "RLIMIT_"))
}

func (p *parser) ulimitTable(n *node) {
	for i, k := range n.keys {
		v, key := n.items[i], ulimitName(k.String())
		if key != "nofile" && key != "nproc" && !strings.HasPrefix(key, "max-") {
			continue
		}
		if v.isText() {
			p.goTo(v.row)
			p.add(setting{form: asContainer, key: key,
				value: strings.Trim(v.String(), `"`), made: v.made, alias: v.alias})
			continue
		}
		p.ulimitPair(key, v)
	}
}

// ulimitPair takes the soft and the hard limit, in the order in which they stand.
func (p *parser) ulimitPair(name string, v *node) {
	for i, k := range v.keys {
		which := strings.ToLower(k.String())
		which = strings.TrimSuffix(strings.TrimSuffix(which, "limit"), "-")
		if which != "soft" && which != "hard" || !v.items[i].isText() {
			continue
		}
		p.goTo(k.row)
		p.add(setting{form: asContainer, key: name, value: v.items[i].String(),
			subject: which, made: v.items[i].made, alias: v.items[i].alias})
	}
}

// dataOf is what a data: URL holds, as Ignition writes files; other text is itself.
func (p *parser) dataOf(w word) word {
	rest, ok := strings.CutPrefix(w.text, "data:")
	kind, text, comma := strings.Cut(rest, ",")
	if !ok || !comma {
		return w
	}
	plain, err := url.PathUnescape(text)
	if strings.HasSuffix(kind, ";base64") {
		return p.base64(text, w.row)
	}
	if err != nil {
		return w
	}
	return word{strings.ReplaceAll(plain, "\n", "\n"+written), w.row}
}

// decoded is a text in an encoding of cloud-init.
func (p *parser) decoded(w word, encoding string) word {
	switch encoding {
	case "b64", "base64":
		return p.base64(w.String(), w.row)
	case "":
		return p.dataOf(w)
	}
	if strings.HasPrefix(encoding, "gz") {
		p.notRead("it holds text in the encoding " + encoding)
		return word{"", w.row}
	}
	return w
}

func (p *parser) base64(text string, row int) word {
	plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || bytes.IndexByte(plain, 0) >= 0 {
		p.notRead("it holds data that is no text")
		return word{"", row}
	}
	return word{strings.ReplaceAll(string(plain), "\n", "\n"+written), row}
}
