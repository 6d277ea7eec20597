package lint

import (
	"path"
	"regexp"
	"strings"
)

// pamLimits are the arguments of ansible's pam_limits module.
var pamLimits = regexp.MustCompile(`\b(domain|limit_type|limit_item|value)\s*[:=]\s*("[^"]*"|'[^']*'|[^\s,}]+)`)

// pamLimit takes them where they stand on one line.
func (p *parser) pamLimit(t string) bool {
	if !strings.Contains(t, "limit_item") || !strings.Contains(t, "limit_type") {
		return false
	}
	have := map[string]string{}
	for _, m := range pamLimits.FindAllStringSubmatch(t, -1) {
		have[m[1]] = bareWord(m[2])
	}
	return p.limitsLine(strings.Join([]string{have["domain"], have["limit_type"], have["limit_item"], have["value"]}, " "))
}

// moduleArguments are those of ansible's sysctl module on one line, moduleMap the same in braces.
var moduleMap = regexp.MustCompile(`["']?\b(?:name|key|namespace)["']?\s*[:=]\s*["']?([A-Za-z0-9_./*-]+)["']?\s*,\s*["']?value["']?\s*[:=]\s*("[^"]*"|'[^']*'|[^,}]+)`)

var moduleArguments = regexp.MustCompile(`\bname=["']?([A-Za-z0-9_./*-]+)["']?\s+value=("[^"]*"|'[^']*'|\S+)`)

// moduleItems takes all items of a line: name and value together, as ansible's module and the tables of task definitions have them.
func (p *parser) moduleItems(t string) (found bool) {
	for _, form := range []*regexp.Regexp{moduleArguments, moduleMap} {
		for _, m := range form.FindAllStringSubmatch(t, -1) {
			if looksLikeKey(m[1]) {
				p.add(setting{form: asConf, key: canonical(m[1]), value: bareWord(m[2])})
				found = true
			}
		}
	}
	return found
}

// uncommented is a line without the comment at its end: " #" outside of quotes, as YAML, TOML, HCL and Nix have it.
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

// treeLine reads YAML, JSON, TOML and the like: "name: value", or name and value on lines of their own.
func (p *parser) treeLine(t string) {
	t, item := strings.CutPrefix(uncommented(t), "- ")
	if t = trim(t); item {
		p.valued = ""
	}
	t = strings.Trim(t, "{} ,")
	if p.pamLimit(t) {
		return
	}
	if p.moduleItems(t) {
		return
	}
	if _, rest, ok := strings.Cut(t, `sysctl."`); ok { // boot.kernel.sysctl."net.core.somaxconn" = 4096;
		t = rest
	}
	if p.assignment(strings.Trim(t, `"';,`)) {
		return
	}
	if p.flowCommand(t) {
		return
	}
	if strings.Contains(t, "sysctl ") || strings.Contains(t, "/proc/sys/") || strings.Contains(t, "ulimit ") {
		p.commands(word{strings.Trim(t, `"',[]`), p.row})
		return
	}
	name, value, ok := strings.Cut(t, ":")
	if before, after, isSet := strings.Cut(t, "="); !ok || (isSet && len(before) < len(name)) {
		name, value, ok = before, after, isSet
	}
	if ok && p.containerLimit(bareWord(name), bareWord(value)) {
		return
	}
	if ok && p.scalar(bareWord(name), trim(value)) {
		return
	}
	name, value = bareWord(name), bareWord(value)
	switch {
	case ok && looksLikeKey(name) && value != "":
		p.add(setting{form: asConf, key: canonical(name), value: value})
	case ok && (name == "name" || name == "key") && looksLikeKey(firstWord(value)):
		p.named = canonical(firstWord(value))
		if p.valued != "" {
			p.treeValue(p.valued)
		}
	case ok && name == "value" && p.named != "":
		p.treeValue(value)
	case ok && name == "value" && item:
		p.valued = value
	}
}

// containerLimit takes "nofile: 65536" of a container's ulimits, or nofile: with soft: and hard: on lines of their own.
func (p *parser) containerLimit(name, value string) bool {
	switch {
	case name == "ulimits" && value == "":
		p.limits = true
	case !p.limits:
		return false
	case (name == "nofile" || name == "nproc") && value == "":
		p.item = name
	case name == "nofile" || name == "nproc":
		p.add(setting{form: asContainer, key: name, value: value})
	case (name == "soft" || name == "hard") && p.item != "":
		p.add(setting{form: asContainer, key: p.item, value: value, subject: name})
	default:
		p.limits, p.item = false, ""
		return false
	}
	return true
}

// flowCommand takes a command as a list: [sysctl, -w, net.core.somaxconn=1024], ["sh", "-c", "sysctl -w ..."].
func (p *parser) flowCommand(t string) bool {
	from, to := strings.Index(t, "["), strings.LastIndex(t, "]")
	if from < 0 || to < from {
		return false
	}
	words := flowWords(t[from+1 : to])
	for _, w := range words {
		if path.Base(w) == "sysctl" || strings.Contains(w, "sysctl ") || strings.Contains(w, "/proc/sys/") || strings.Contains(w, "ulimit ") {
			first := len(p.settings)
			p.command(rowed(words, p.row), nil)
			return len(p.settings) > first
		}
	}
	return false
}

// flowWords are the items of a list in brackets; a comma inside quotes is none.
func flowWords(t string) (words []string) {
	quote, last := byte(0), 0
	for i := range len(t) {
		switch c := t[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == ',':
			words, last = append(words, bareWord(t[last:i])), i+1
		}
	}
	if w := bareWord(t[last:]); w != "" {
		words = append(words, w)
	}
	return words
}

// scalar takes a value that is a line of another file: what ansible's lineinfile and cloud-init write.
func (p *parser) scalar(name, value string) bool {
	if looksLikeKey(name) {
		return false
	}
	first := len(p.settings)
	for _, text := range strings.Split(strings.Trim(value, "\"',"), `\n`) {
		if text = trim(text); !p.limitsLine(text) && looksLikeKey(trim(strings.SplitN(text, "=", 2)[0])) {
			p.assignment(text)
		}
	}
	return len(p.settings) > first
}

func (p *parser) treeValue(value string) {
	p.add(setting{form: asConf, key: p.named, value: value})
	p.named, p.valued = "", ""
}

// bareWord is a scalar without the marks around it.
func bareWord(s string) string { return strings.Trim(trim(s), "\"'`,;{} \t") }

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t,\"'"); i >= 0 {
		return s[:i]
	}
	return s
}
