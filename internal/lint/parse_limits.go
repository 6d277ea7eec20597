package lint

import "strings"

// limitItems are the items of limits.conf(5).
var limitItems = []string{"core", "data", "fsize", "memlock", "nofile", "rss", "stack", "cpu",
	"nproc", "as", "maxlogins", "maxsyslogins",
	"nonewprivs", "priority", "locks", "sigpending", "msgqueue", "nice", "rtprio", "chroot"}

var (
	noDomain = Note{NoEffect,
		"The line lacks its first field: limits.conf wants domain, type, item and " +
			"value (* soft nofile 65536), and pam_limits skips anything else.",
		"limits.conf(5)"}
	badLimits = Note{NoEffect,
		"The line is none of limits.conf, which wants domain, type (soft, hard or -), " +
			"item and value: pam_limits skips it.", "limits.conf(5)"}
)

// limitsFile reads a line of limits.conf, where "#" begins a comment anywhere.
func (p *parser) limitsFile(t string) {
	body, _, _ := strings.Cut(t, "#")
	if !p.limitsLine(trim(body)) {
		if words := strings.Fields(body); len(words) == 2 && words[1] == "-" {
			return // exempts the domain from all limits
		}
		p.add(strayLimit(t, badLimits))
	}
}

// strayLimit is a line with the words of a limit that is none.
func strayLimit(t string, why Note) setting {
	for _, w := range strings.Fields(t) {
		if oneOf(w, limitItems) {
			return stray(w, t, why)
		}
	}
	return stray(firstWord(t), t, why)
}

// limitsLine takes "* soft nofile 65536".
func (p *parser) limitsLine(t string) bool {
	body, _, _ := strings.Cut(t, "#")
	words := strings.Fields(body)
	if len(words) != 4 || !oneOf(words[1], []string{"soft", "hard", "-"}) ||
		!oneOf(words[2], limitItems) {
		return false
	}
	p.add(setting{form: asLimits, key: words[2], value: words[3],
		subject: words[0] + " " + words[1]})
	return true
}

// unitItems are the settings of units that bound connections.
var unitItems = []string{"LimitNOFILE", "LimitNPROC", "TasksMax", "DefaultLimitNOFILE",
	"DefaultLimitNPROC", "DefaultTasksMax", "MemoryMax", "MemoryLimit"}

// unitLine reads a line of a unit file.
func (p *parser) unitLine(text string) {
	t := flat(text)
	if section.MatchString(t) {
		p.section = strings.Trim(t, "[]")
		return
	}
	if name, line, ok := strings.Cut(text, "="); ok && strings.HasPrefix(name, "Exec") {
		p.statement(asScript(strings.TrimLeft(trim(line), "@-:+!|")))
		return
	}
	p.unitItem(t)
}

// unitItem takes LimitNOFILE=65536 and the like.
func (p *parser) unitItem(t string) bool {
	name, value, ok := strings.Cut(t, "=")
	name = trim(name)
	if !ok || !oneOf(name, unitItems) {
		return false
	}
	p.add(setting{form: asUnit, key: name, value: trim(value), subject: p.section})
	return true
}

// moduleLine reads a line of modprobe.d, or of modules-load.d, which is a name.
func (p *parser) moduleLine(t string) {
	if isConntrackModule(t) {
		p.add(setting{form: asModule, key: "modules-load.d", value: t, subject: t})
		return
	}
	p.moduleOption(t)
}

// moduleOption takes "options nf_conntrack hashsize=65536".
func (p *parser) moduleOption(t string) bool {
	words := strings.Fields(t)
	if len(words) < 3 || words[0] != "options" || !isConntrackModule(words[1]) {
		return false
	}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		p.add(setting{form: asOption, key: name, value: value, subject: words[1]})
	}
	return true
}

func isConntrackModule(name string) bool { return name == "nf_conntrack" || name == "ip_conntrack" }
