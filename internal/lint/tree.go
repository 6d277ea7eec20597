package lint

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/maxconn/maxconn/internal/knob"
)

// walk reads what stands under a name.
func (p *parser) walk(n *node, name string) {
	switch n.kind {
	case table:
		if !p.eachItem(n, name) {
			p.within(p.worldOf(n, name), func() { p.table(n, name) })
		}
	case list:
		p.sequence(n, name)
	case scalar:
		p.scalar(n, name)
	}
}

// prose are names of what people read, patterns are names of what is looked for and not set.
var prose = set("name description desc displayName documentation rationale details hint " +
	"summary msg title comment help note message doc regexp regex " +
	"pattern when changed_when failed_when insertafter insertbefore match search old label " +
	"labels ylabel allowed-unsafe-sysctls allowedUnsafeSysctls forbiddenSysctls print puts " +
	"log info warn warning error debug critical fatal exception notice println printf abort " +
	"assert return raise throw fail echo import " +
	"from tags")

// compared are variables of programs that hold what is looked for.
var compared = regexp.MustCompile(`(?i)^(?:expected|actual|current|previous|before|want|defaults?)$`)

func set(text string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(text) {
		all[w] = true
	}
	return all
}

// removals are states in which nothing is set.
var removals = []string{"absent", ":remove", ":delete", ":nothing"}

func (p *parser) table(n *node, name string) {
	if slices.Contains(removals, n.at("state", "ensure", "action")) {
		p.tellsNode(n)
		return
	}
	was := p.under
	defer func() { p.under = was }()
	p.under = name
	taken := map[*node]bool{}
	p.item(n, name, taken)
	p.rangeIn(n, taken)
	p.fileIn(n, taken)
	p.commandIn(n, taken)
	p.imageCommand(n, taken)
	p.ulimitIn(n, name, taken)
	for i, k := range n.keys {
		if v := n.items[i]; !taken[v] {
			p.entry(k, v)
		}
	}
}

// entry reads one name of a table.
func (p *parser) entry(k, v *node) {
	key := k.String()
	p.goTo(k.row)
	if key == "kernel-param" || // which Goss looks at
		v.kind == scalar && prose[key] || prose[knob.Last(key)] && v.kind != table ||
		isExtra(key, v) || p.lang.isCode() && (key == "raise" || key == "throw" ||
		p.lang.code && compared.MatchString(key)) {
		p.tellsNode(v)
		return
	}
	if v.isText() && isModule(key) {
		p.arguments(v, key)
		return
	}
	if name, joined, ok := p.sysctlKey(k); ok && p.sysctlEntry(k, name, v, joined) {
		return
	}
	if v.isText() && p.variableItem(key, v.String(), v.text.row) {
		return
	}
	last := knob.Last(key)
	was := p.above
	defer func() { p.above = was }()
	p.above = nestedIn(was, key)
	switch {
	case v.isText() && p.unitItem(last+"="+v.String()),
		v.isText() && p.programItem(key, v):
	case strings.HasPrefix(key, "linux.sysctl.") && v.isText(): // LXD
		p.within(world{scope: OfContainer, given: true}, func() {
			p.sysctlAt(k.row, knob.Key(key[len("linux.sysctl."):]), v, false)
		})
	case strings.HasPrefix(key, "limits.kernel.") && v.isText():
		p.within(world{scope: OfContainer, given: true}, func() {
			p.containerUlimit(last + "=" + v.String())
		})
	case isUlimits(last):
		p.within(p.runtime(), func() { p.ulimits(v) })
	case isSysctls(last):
		p.within(p.given(), func() { p.walk(v, key) })
	case strings.HasSuffix(key, "sysctls") && strings.HasPrefix(key, "security.alpha"):
		p.annotated(v)
	case p.lang == nixText && (last == "eventsConfig" || last == "appendConfig") && v.isText():
		p.readAs(formatTagged("nginx"), v.text)
	case strings.Contains(key, "/") && p.limitsEntry(key, v):
	case p.isFileName(key) && v.isText():
		p.fileText(key, v.text)
	case strings.HasPrefix(key, "/") && v.kind != scalar:
		was := p.target
		p.target = key
		p.into(key, func() { p.walk(v, key) })
		p.target = was
	case key == "services" && v.kind == table && !p.lang.isCode():
		p.services(v)
	case strings.HasSuffix(key, "cmd.run") && v.merged().at("name") != "":
		p.commands(v.merged().under("name").text)
	case strings.HasPrefix(last, "filehandle_") && v.isText(): // user_ulimit of Chef
		p.limitAt(v, "user", strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(last,
			"limit"), "filehandle_"), "_"), "nofile")
	case strings.HasSuffix(key, ".present") || strings.HasSuffix(key, ".managed"):
		p.walk(v.merged(), key)
	default:
		if v.kind == table && p.lang == puppetText && runsSysctl(key) {
			p.commands(k.text)
		}
		p.walk(v, key)
	}
}

// isExtra says whether it is a part of a compose file that is only there to be repeated.
func isExtra(key string, v *node) bool {
	return strings.HasPrefix(key, "x-") && v.kind != scalar
}

func (l *language) isCode() bool { return l != nil }

func (p *parser) goTo(row int) { p.row = row }

// isFileName says whether a key names a file whose format is known, as the data of a ConfigMap do.
func (p *parser) isFileName(key string) bool {
	return strings.Contains(key, ".") && !looksLikeKey(key) && formatNamed(key) != nil
}

// joinedNames are the sysctls by their letters: net_core_somaxconn, netCoreSomaxconn.
var joinedNames = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, n := range knownNames() {
		all[n.spelled.joined.Text] = n.Name
	}
	return all
})

var joinedKey = regexp.MustCompile(`^(?:net|vm|fs|kernel)(?:_[a-z]|[A-Z])\w+$`)

// sysctlKey is the sysctl that a name means; joined says that it has no separators of its own.
func (p *parser) sysctlKey(k *node) (name string, joined, ok bool) {
	key := strings.TrimPrefix(k.String(), "-")
	switch {
	case looksLikeKey(key):
		name = knob.Key(key)
		ok = !k.plain || !p.lang.isCode() || !p.lang.code || knob.Find(name) != nil
		return name, false, ok
	case p.above != "" && knob.Find(p.above+"."+key) != nil:
		return p.above + "." + key, false, true
	case joinedKey.MatchString(key):
		name, ok = joinedNames()[strings.ToLower(strings.Map(lettersOnly, key))]
		return name, true, ok
	}
	for rest := key; p.lang.isCode(); {
		_, after, more := strings.Cut(rest, ".")
		if !more {
			return "", false, false
		}
		if rest = after; looksLikeKey(rest) && knob.Find(knob.Key(rest)) != nil {
			return knob.Key(rest), false, true
		}
	}
	return "", false, false
}

// nestedIn is the part of a sysctl's name that tables around a value give: {net: {core: ...}}.
func nestedIn(above, key string) string {
	if len(above)+len(key) > longestName {
		return ""
	}
	if above != "" {
		return above + "." + key
	}
	for rest := key; rest != ""; {
		if root, _, _ := strings.Cut(rest, "."); slices.Contains([]string{"net", "vm", "fs",
			"kernel"}, root) {
			return rest
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return ""
}

// sysctlEntry takes a value, or a table that has one.
func (p *parser) sysctlEntry(k *node, name string, v *node, joined bool) bool {
	if v.kind != scalar {
		expression := p.lang.isCode() && (v.kind == list || p.lang == nixText &&
			knob.Find(name) != nil)
		v = v.merged()
		if inner := v.under("value", "val"); inner.isText() {
			p.sysctlValue(name, inner, joined)
			return true
		}

		for i, key := range v.keys { // Salt: the name stands above
			if strings.HasPrefix(key.String(), "sysctl.") {
				in := v.items[i].merged()
				if value := in.under("value"); value.isText() && !in.has("name") {
					p.sysctlValue(name, value, joined)
					return true
				}
			}
		}
		if expression {
			p.sysctlAt(k.row, name, &node{text: word{"(...)", k.row}, made: true},
				joined)
		}
		return expression
	}
	if !v.isText() || isNull(v) {
		return v.isText() || v.kind == scalar && !looksLikeKey(k.String())
	}
	p.sysctlAt(k.row, name, v, joined)
	return true
}

func isNull(v *node) bool {
	return v.plain && slices.Contains([]string{"null", "nil", "None", "undef", "~", "absent"},
		v.String())
}

// sysctlValue adds a setting in the row of its value.
func (p *parser) sysctlValue(name string, v *node, joined bool) {
	p.sysctlAt(v.text.row, name, v, joined)
}

func (p *parser) sysctlAt(row int, name string, v *node, joined bool) {
	p.goTo(row)
	s := setting{form: asConf, key: name, value: v.String(), made: v.made || isNull(v),
		alias: v.alias}
	if p.lang == nil && p.branches && v.plain { // of a table in a template's own line
		s.value = strings.TrimSuffix(s.value, ",")
	}
	if p.lang == nixText || joined { // NixOS and the clouds write 1 and 0
		switch s.value {
		case "true":
			s.value = "1"
		case "false":
			s.value = "0"
		}
	}
	p.add(s)
}

// item takes a sysctl whose name and value stand apart, or the fields of a limit.
func (p *parser) item(n *node, name string, taken map[*node]bool) {
	value := n.under("value", "val")
	if !value.isText() {
		return
	}
	if p.variableItem(n.at("name"), value.String(), value.text.row) {
		taken[value] = true
		return
	}
	for _, field := range []string{"name", "key", "namespace"} {
		k := n.under(field)
		if !k.isText() || !looksLikeKey(firstWord(k.String())) {
			if k.isText() && variable(k.String()) && p.lang == nil &&
				knob.Last(name) == "sysctl" {
				p.goTo(k.row)
				p.notRead("it sets the sysctl that " + k.String() + " names")
			}
			continue
		}
		taken[value] = true
		p.within(p.givenIn(name), func() {
			p.goTo(max(k.text.row, value.text.row))
			p.sysctlAt(p.row, knob.Key(firstWord(k.String())), value, false)
		})
		return
	}
	if option := n.at("option"); slices.Contains(unitItems, option) {
		p.goTo(value.text.row)
		taken[value] = p.unitItem(option + "=" + value.String())
		return
	}
	domain, which := n.at("domain", "name"), n.at("limit_type", "type")
	what := n.at("limit_item", "item")
	if parts := strings.Split(n.at("name"), "/"); len(parts) == 3 && which == "" {
		domain, which, what = parts[0], parts[1], parts[2] // the title of a resource
	}
	if domain != "" && which != "" && what != "" {
		taken[value] = true
		p.limitAt(value, domain, which, what)
	}
}

func (p *parser) limitAt(v *node, domain, which, what string) {
	p.goTo(v.text.row)
	if slices.Contains(limitItems, what) {
		p.add(setting{form: asLimits, key: what, value: v.String(), made: v.made,
			alias: v.alias, subject: domain + " " + which})
	}
}

// rangeIn takes the two halves of ip_local_port_range, as Azure has them.
func (p *parser) rangeIn(n *node, taken map[*node]bool) {
	const key = "net_ipv4_ip_local_port_range_"
	low, high := n.under(key+"min"), n.under(key+"max")
	if !low.isText() && !high.isText() {
		return
	}
	both, row := "", 0
	for i, v := range []*node{low, high} {
		text := []string{"32768", "60999"}[i] // the kernel's
		if v.isText() {
			text, row, taken[v] = v.String(), v.text.row, true
		}
		both += " " + text
	}
	p.goTo(row)
	p.add(setting{form: asConf, key: "net.ipv4.ip_local_port_range", value: trim(both),
		made: low.isText() && low.made || high.isText() && high.made})
}

// limitsEntry takes 'www/nofile': {both: 65536} of Puppet's module.
func (p *parser) limitsEntry(key string, v *node) bool {
	domain, what, ok := strings.Cut(key, "/")
	if !ok || !slices.Contains(limitItems, what) || v.kind != table {
		return false
	}
	for _, which := range []string{"both", "soft", "hard"} {
		if value := v.under(which); value.isText() {
			p.limitAt(value, domain, map[string]string{"both": "-"}[which]+
				strings.ReplaceAll(which, "both", ""), what)
		}
	}
	return true
}

// places and contents are names under which a file and its text stand.
var (
	places   = []string{"path", "dest", "destination", "filename", "target", "file", "name"}
	contents = []string{"content", "contents", "block", "line", "text", "inline", "body",
		"data"}
)

// fileIn takes the text of a file that stands beside its name.
func (p *parser) fileIn(n *node, taken map[*node]bool) {
	at := ""
	if unit := n.at("unit"); unit != "" && n.has("content") { // a drop-in of Puppet
		at = unit + ".d/" + n.at("name")
	}
	for _, name := range places {
		if v := n.at(name); v != "" && at == "" && (strings.Contains(v, "/") ||
			name == "name" && formatNamed(v) != nil) {
			at = v
		}
	}
	for _, name := range contents {
		v := n.under(name)
		if v == nil {
			continue
		}
		if v.kind == table { // of Ignition and Butane
			for _, inner := range []string{"inline", "source", "local"} {
				if text := v.under(inner); text.isText() {
					v = text
				}
			}
		}
		if to := at; v.isText() && (to != "" || strings.Contains(v.text.text, "\n")) {
			if to == "" {
				if to = p.target; to == "" {
					continue
				}
			}
			taken[n.under(name)] = true
			p.fileText(to, p.decoded(v.text, n.at("encoding")))
		}
	}
}

// services are those of a compose file: each is a container.
func (p *parser) services(v *node) {
	for i, k := range v.keys {
		w := p.world
		for _, name := range []string{"image", "build", "sysctls", "ulimits",
			"network_mode", "command", "container_name", "deploy", "entrypoint"} {
			if v.items[i].has(name) {
				w = world{scope: OfContainer}
			}
		}
		p.within(w, func() { p.walk(v.items[i], k.String()) })
	}
}

// annotated takes the annotations that were sysctls of pods before Kubernetes 1.11.
func (p *parser) annotated(v *node) {
	p.goTo(v.row)
	p.within(world{scope: OfPod, given: true, annotated: true}, func() {
		for one := range strings.SplitSeq(v.String(), ",") {
			if key, value, ok := strings.Cut(one, "="); ok && looksLikeKey(trim(key)) {
				p.add(setting{form: asConf, key: knob.Key(trim(key)),
					value: trim(value)})
			}
		}
	})
}
