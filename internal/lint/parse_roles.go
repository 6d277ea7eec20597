package lint

import (
	"regexp"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// cronTime is when a line of a crontab runs, and in /etc/cron.d as whom.
var cronTime = regexp.MustCompile(`^(?:@\w+|(?:[\d*,/-]+\s+){4}[\w*,/-]+)\s+(?:root\s+|www-data\s+)?`)

// tunedLine reads a line of a profile of TuneD.
func (p *parser) tunedLine(t string) {
	if section.MatchString(t) {
		p.section = strings.Trim(t, "[]")
		return
	}
	name, value, ok := strings.Cut(t, "=")
	name, value = trim(name), strings.Trim(trim(value), `"'`)
	switch {
	case !ok:
	case p.section == "sysctl":
		p.assignment(p.filledIn(t))
	case p.section == "sysfs":
		p.write(name, p.filledIn(value))
	case name == "txqueuelen":
		p.add(setting{form: asQueue, key: name, value: p.filledIn(value)})
	case p.section == "variables":
		p.remember(name, value)
	case p.section == "main" && prose[name]:
		p.tells(word{t, p.row})
	case name == "nf_conntrack_hashsize":
		p.add(setting{form: asOption, key: "hashsize", value: p.filledIn(value),
			subject: "running"})
	case name == "include":
		if value = p.filledIn(value); variable(value) {
			p.notRead("it includes " + value)
			break
		}
		for name := range strings.FieldsFuncSeq(value, isListed) {
			p.includes("../"+strings.TrimPrefix(name, "-")+"/tuned.conf", tunedText)
		}
	case strings.HasPrefix(name, "cmdline"):
		p.bootLine(strings.TrimLeft(value, "+"))
	default:
		p.unitItem(t)
	}
}

// isListed parts the names of profiles.
func isListed(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

var tunedText = formatTagged("tuned")

var braced = regexp.MustCompile(`\$\{(\w+)\}`)

// filledIn puts in the variables that have one value.
func (p *parser) filledIn(t string) string {
	return braced.ReplaceAllStringFunc(t, func(v string) string {
		if value, ok := p.vars[v[2:len(v)-1]]; ok && value != "" {
			return value
		}
		return v
	})
}

// remember notes what a variable is set to. One that is set to two values is not known.
func (p *parser) remember(name, value string) {
	if p.vars == nil {
		p.vars = map[string]string{}
	}
	if was, ok := p.vars[name]; ok && was != value || variable(value) {
		value = ""
	}
	if len(p.vars) < mostLooped {
		p.vars[name] = value
	}
}

// superviseLine reads a line of supervisord's configuration.
func (p *parser) superviseLine(t string) {
	if section.MatchString(t) || strings.HasPrefix(t, "[") {
		p.section = strings.Trim(t, "[]")
		return
	}
	name, value, ok := strings.Cut(t, "=")
	value, _, _ = strings.Cut(value, " ;") // a comment
	switch name, value = trim(name), trim(value); {
	case !ok:
	case name == "minfds":
		p.program("supervisor", "minfds", value)
	case name == "environment":
		p.environment(strings.ReplaceAll(value, ",", " "), p.row)
	case name == "command":
		p.statement(asScript(value))
	}
}

// upstartLine reads a line of a job: limit nofile 65536 65536, exec, and the lines of scripts.
func (p *parser) upstartLine(t, text string) {
	words := strings.Fields(t)
	switch {
	case words[0] == "limit" && len(words) == 4 && words[1] == "nofile":
		p.add(setting{form: asUnit, key: "nofile", value: words[2] + ":" + words[3]})
	case words[0] == "exec":
		p.statement(asScript(trim(strings.TrimPrefix(trim(text), "exec"))))
	default:
		p.as(shellRole, text)
	}
}

// containerItem reads Sysctl=, Ulimit= and PodmanArgs= of a Quadlet unit.
func (p *parser) containerItem(name, value string) bool {
	if p.section != "Container" && p.section != "Pod" {
		return false
	}
	w := world{scope: OfContainer, given: true}
	p.within(w, func() {
		switch name {
		case "Sysctl":
			for _, one := range quotedWords(value) {
				if key, v, ok := strings.Cut(one, "="); ok {
					p.add(setting{form: asConf, key: knob.Key(key), value: v})
				}
			}
		case "Network":
			p.hostNet = p.hostNet || value == "host"
		case "Ulimit":
			p.containerUlimit(value)
		case "PodmanArgs":
			p.statement("podman run " + value)
		case "Exec":
			p.within(w.running(), func() { p.statement(value) })
		}
	})
	return true
}
