package lint

import (
	"slices"
	"strings"
)

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

// fieldsOf splits at blanks, but for those of a template's {{ }}.
func fieldsOf(t string) (all []string) {
	for _, w := range strings.Fields(t) {
		if n := len(all); n > 0 && (strings.Count(all[n-1], "{{") > strings.Count(all[n-1],
			"}}") || strings.Count(all[n-1], "<%") > strings.Count(all[n-1], "%>")) {
			all[n-1] += " " + w
			continue
		}
		all = append(all, w)
	}
	return all
}

// strayLimit is a line with the words of a limit that is none.
func strayLimit(t string, why Note) setting {
	for _, w := range strings.Fields(t) {
		if w = pamLower(w); slices.Contains(limitItems, w) {
			return stray(w, t, why)
		}
	}
	return stray(firstWord(t), t, why)
}

// limitsLine takes "* soft nofile 65536".
func (p *parser) limitsLine(t string) bool {
	body, _, _ := strings.Cut(t, "#")
	words := fieldsOf(body)
	if len(words) == 5 && p.role == limitsRole {
		words = words[:4] // pam_limits reads no further
	}
	if p.role == limitsRole && len(words) == 4 {
		for i, w := range words[1:] {
			words[i+1] = pamLower(w)
		}
	}
	if len(words) != 4 || !slices.Contains([]string{"soft", "hard", "-"}, words[1]) &&
		!isFilledIn(words[1]) || !slices.Contains(limitItems, words[2]) &&
		!(isFilledIn(words[2]) && isFilledIn(words[1])) {
		return false
	}
	p.add(setting{form: asLimits, key: words[2], value: words[3],
		subject: words[0] + " " + words[1]})
	return true
}

// pamLower is a type, an item or a value as pam_limits compares it (parse_config_file).
func pamLower(field string) string {
	if variable(field) {
		return field
	}
	return strings.ToLower(field)
}

// isFilledIn says whether a field is made by a template.
func isFilledIn(field string) bool {
	return strings.HasPrefix(field, "{{") || strings.HasPrefix(field, "<%")
}

// unitItems are the settings of units that bound connections.
var unitItems = []string{"LimitNOFILE", "LimitNPROC", "TasksMax", "DefaultLimitNOFILE",
	"DefaultLimitNPROC", "DefaultTasksMax", "MemoryMax", "MemoryLimit"}

// socketItems are those of socket units.
var socketItems = []string{"Backlog", "MaxConnections", "MaxConnectionsPerSource"}

var notAccepting = Note{NoEffect, "Acts only with Accept=yes, where systemd starts a process for " +
	"each connection; without it one service has them all.", "systemd.socket(5)"}

// unitLine reads a line of a unit file.
func (p *parser) unitLine(text string) {
	t := flat(text)
	if section.MatchString(t) {
		p.section = strings.Trim(t, "[]")
		return
	}
	name, value, ok := strings.Cut(text, "=")
	switch name = trim(name); {
	case !ok:
	case prose[strings.ToLower(name)]:
		p.tells(word{text, p.row})
	case p.misplaced(name) && trim(value) != "":
		s := stray(name, trim(value), wrongSection)
		s.form = asUnit
		p.add(s)
	case p.section == "Socket" && slices.Contains(socketItems, name):
		p.add(setting{form: asUnit, key: name, value: trim(value), subject: p.section})
	case p.section == "Socket" && name == "Accept":
		p.accept = slices.Contains([]string{"yes", "true", "on", "1"},
			strings.ToLower(trim(value)))
	case p.containerItem(name, trim(value)):
	case name == "Environment":
		p.environment(value, p.row)
	case strings.HasPrefix(name, "Exec"):
		p.statement(asScript(strings.TrimLeft(trim(value), "@-:+!|")))
	default:
		p.unitItem(t)
	}
}

var wrongSection = Note{NoEffect, "systemd knows the setting, but not in this section, and skips " +
	"it with a warning. Limits belong into the section of the unit's type: [Service], " +
	"[Socket], [Slice] ..., the defaults for all units into [Manager] of system.conf.",
	"systemd.unit(5), systemd.exec(5), systemd-system.conf(5); systemd " +
		"src/core/load-fragment-gperf.gperf.in"}

// ofKinds are the sections in which units have limits.
var ofKinds = []string{"Service", "Socket", "Mount", "Swap"}

// misplaced says whether a setting stands in a section that has none of this name. That of a
// drop-in, and of Quadlet, is passed on to the service.
func (p *parser) misplaced(name string) bool {
	in := p.section
	switch {
	case in == "" || variable(in):
		return false
	case slices.Contains(socketItems, name):
		return in != "Socket"
	case !slices.Contains(unitItems, name):
		return false
	case strings.HasPrefix(name, "Default"):
		return in != "Manager"
	case strings.HasPrefix(name, "Limit"):
		return !slices.Contains(ofKinds, in)
	}
	return !slices.Contains(append([]string{"Slice", "Scope"}, ofKinds...), in)
}

// unitItem takes LimitNOFILE=65536 and the like.
func (p *parser) unitItem(t string) bool {
	name, value, ok := strings.Cut(t, "=")
	name = trim(name)
	if !ok || !slices.Contains(unitItems, name) || trim(value) == "" {
		return ok && slices.Contains(unitItems, name)
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

// ulimit takes ulimit -n 65536, -SHn, -n65536, and -c unlimited -n 65536.
func (p *parser) ulimit(args []string) {
	which, item, open := "", "", false
	for _, a := range args {
		flags, isFlag := strings.CutPrefix(a, "-")
		if isFlag && a != "-1" {
			value := ""
			if at := strings.IndexAny(flags, "0123456789"); at > 0 {
				flags, value = flags[:at], flags[at:]
			}
			which += strings.Trim(flags, "abcdefghijklmnopqrstuvwxyz")
			if kind := strings.Trim(flags, "SH"); kind != "" {
				item = ulimitItem(kind)
			}
			if open = value == ""; open {
				continue
			}
			a = value
		} else if !open {
			return
		}
		if item != "" && isLimit(a) {
			p.add(setting{form: asUlimit, key: item, value: a,
				subject: limitTypes(which)})
		}
		item, open = "", false
	}
}

func ulimitItem(flags string) string {
	switch {
	case strings.Contains(flags, "n"):
		return "ulimit -n"
	case strings.Contains(flags, "u"):
		return "ulimit -u"
	}
	return ""
}

// isLimit says whether a word is one that ulimit takes, or is not known.
func isLimit(text string) bool {
	return isValue(text) || slices.Contains([]string{"unlimited", "hard", "soft", "infinity"},
		text)
}

// containerUlimit takes docker run --ulimit nofile=1024:4096, and nofile:1024:4096.
func (p *parser) containerUlimit(arg string) {
	i := strings.IndexAny(arg, "=:")
	if i < 0 {
		return
	}
	if name, value := arg[:i], arg[i+1:]; (name == "nofile" || name == "nproc") && value != "" {
		p.add(setting{form: asContainer, key: name, value: value})
	}
}

// limitTypes says in words which of the two limits flags name.
func limitTypes(flags string) string {
	soft, hard := strings.Contains(flags, "S"), strings.Contains(flags, "H")
	switch {
	case soft && !hard:
		return "soft"
	case hard && !soft:
		return "hard"
	}
	return ""
}

// prlimit takes prlimit --pid 1 --nofile=1024:4096.
func (p *parser) prlimit(args []string) {
	for i, a := range args {
		value, ok := strings.CutPrefix(a, "--nofile=")
		if !ok && strings.HasPrefix(a, "-n") && len(a) > 2 {
			value, ok = strings.TrimPrefix(a[2:], "="), true
		}
		if !ok && a == "--nofile" && i+1 < len(args) {
			value, ok = args[i+1], strings.Trim(args[i+1], "0123456789:") == ""
		}
		if ok && value != "" {
			p.add(setting{form: asUlimit, key: "prlimit --nofile", value: value})
		}
	}
}

// ip takes ip link, and ip netns exec NAME COMMAND.
func (p *parser) ip(args []word) {
	for i, a := range args {
		if a.text == "exec" && i+2 < len(args) && args[0].text == "netns" {
			was := p.where
			p.where = "ip netns exec " + args[i+1].String()
			p.within(world{scope: OfNetns}, func() { p.command(args[i+2:], nil) })
			p.where = was
			return
		}
	}
	p.queueLength(texts(args))
}

// queueLength takes ifconfig DEVICE txqueuelen N and ip link set [dev] DEVICE txqueuelen N.
func (p *parser) queueLength(args []string) {
	device := ""
	for i, a := range args {
		switch {
		case (a == "txqueuelen" || a == "txqlen" || a == "qlen") && i+1 < len(args):
			p.add(setting{form: asQueue, key: "txqueuelen", value: args[i+1],
				subject: device})
			return
		case strings.HasPrefix(a, "-"),
			slices.Contains([]string{"link", "l", "set", "dev", "up", "down"}, a):
		case device == "":
			device = a
		}
	}
}

// modprobe takes the loading of connection tracking.
func (p *parser) modprobe(args []string) {
	for i, a := range args {
		if isConntrackModule(a) {
			p.add(setting{form: asModule, key: "modprobe", value: a, subject: a})
			p.moduleOption("options " + strings.Join(args[i:], " "))
			return
		}
		if !strings.HasPrefix(a, "-") {
			return
		}
	}
}
