package lint

import (
	"regexp"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// pamLimits are the arguments of ansible's pam_limits module.
var pamLimits = regexp.MustCompile(`\b(domain|limit_type|limit_item|value)\s*[:=]\s*` +
	`("[^"]*"|'[^']*'|[^\s,}]+)`)

// pamLimit takes them where they stand on one line.
func (p *parser) pamLimit(t string) bool {
	if !strings.Contains(t, "limit_item") || !strings.Contains(t, "limit_type") {
		return false
	}
	have := map[string]string{}
	for _, m := range pamLimits.FindAllStringSubmatch(t, -1) {
		have[m[1]] = bareWord(m[2])
	}
	return p.limitsLine(have["domain"] + " " + have["limit_type"] + " " + have["limit_item"] +
		" " + have["value"])
}

// moduleArguments are those of ansible's sysctl module on one line, moduleMap the same in braces.
var moduleMap = regexp.MustCompile(`["']?\b(?:name|key|namespace)["']?\s*[:=]\s*` +
	`["']?([A-Za-z0-9_./*-]+)["']?\s*,\s*["']?value["']?\s*[:=]\s*("[^"]*"|'[^']*'|[^,}]+)`)

var moduleArguments = regexp.MustCompile(`\bname=["']?([A-Za-z0-9_./*-]+)["']?\s+` +
	`value=("[^"]*"|'[^']*'|\S+)`)

// moduleItems takes all items of a line: name and value together, as ansible's module and the
// tables of task definitions have them.
func (p *parser) moduleItems(t string) (found bool) {
	for _, form := range []*regexp.Regexp{moduleArguments, moduleMap} {
		for _, m := range form.FindAllStringSubmatch(t, -1) {
			if looksLikeKey(m[1]) {
				p.add(setting{form: asConf, key: knob.Key(m[1]),
					value: bareWord(m[2])})
				found = true
			}
		}
	}
	return found
}

// uncommented is a line without the comment at its end: " #" outside of quotes, as YAML, TOML, HCL
// and Nix have it.
func uncommented(t string) string {
	quote := byte(0)
	for i := range len(t) {
		switch c := t[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' && i > 0 && strings.IndexByte(blank, t[i-1]) >= 0:
			return trim(t[:i])
		}
	}
	return t
}

// treeLine reads a line of Nix, TOML, Terraform and the like, and of YAML that does not parse.
func (p *parser) treeLine(t string) {
	t, _ = strings.CutPrefix(uncommented(t), "- ")
	t = strings.Trim(trim(t), "{} ,")
	if p.pamLimit(t) || p.moduleItems(t) {
		return
	}
	// boot.kernel.sysctl."net.core.somaxconn" = 4096;
	if _, rest, ok := strings.Cut(t, `sysctl."`); ok {
		t = rest
	}
	if p.assignment(strings.Trim(t, `"';,`)) || p.flowCommand(t) {
		return
	}
	if runsSysctl(t) {
		p.commands(word{strings.Trim(t, `"',[]`), p.row})
		return
	}
	name, value, ok := strings.Cut(t, ":")
	if before, after, isSet := strings.Cut(t, "="); !ok || (isSet && len(before) < len(name)) {
		name, value, ok = before, after, isSet
	}
	switch name = bareWord(name); {
	case !ok:
	case !looksLikeKey(name):
		p.embedded(strings.Trim(trim(value), "\"',"))
	case bareWord(value) != "":
		p.add(setting{form: asConf, key: knob.Key(name), value: bareWord(value)})
	}
}

// flowCommand takes a command as a list: ["sysctl", "-w", "net.core.somaxconn=1024"].
func (p *parser) flowCommand(t string) bool {
	from, to := strings.Index(t, "["), strings.LastIndex(t, "]")
	if from < 0 || to < from || !runsSysctl(t) && !strings.Contains(t, "sysctl") {
		return false
	}
	first := len(p.settings)
	return p.documents(t[from:to+1], p.row, true) && len(p.settings) > first
}

// embedded takes a string that is lines of another file: what ansible's lineinfile and cloud-init
// write.
func (p *parser) embedded(text string) {
	for _, line := range strings.Split(text, `\n`) {
		name, _, _ := strings.Cut(line, "=")
		if line = trim(line); !p.limitsLine(line) && looksLikeKey(trim(name)) {
			p.assignment(line)
		}
	}
}

// bareWord is a scalar without the marks around it.
func bareWord(s string) string { return strings.Trim(trim(s), "\"'`,;{} \t") }

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t,\"'"); i >= 0 {
		return s[:i]
	}
	return s
}
