package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

func (p *parser) sequence(n *node, name string) {
	if words, ok := commandList(n, name); ok {
		p.within(p.world.running(), func() {
			p.goTo(n.row)
			p.command(unwrapped(words), nil)
		})
		return
	}
	if words, ok := runtimeArguments(n); ok {
		p.within(world{scope: OfContainer, given: true}, func() { p.otherCommand(words) })
		return
	}
	if strings.HasSuffix(name, "setrlimit") && len(n.items) == 2 {
		p.setrlimit(n.items[0].String(), n.items[1])
		return
	}
	if p.pair(n, name) {
		return
	}
	if p.lang.isCode() && len(n.items) > 0 {
		p.listens(n, name)
	}
	for _, c := range n.items {
		if c.kind == scalar && prose[knob.Last(name)] {
			p.tells(c.text)
			continue
		}
		p.walk(c, name)
	}
}

// pair takes a name and a value that stand side by side: ("net.core.somaxconn", 1024).
func (p *parser) pair(n *node, name string) bool {
	if len(n.items) != 2 || !n.items[0].isText() || !n.items[1].isText() ||
		n.call && !setsPair.MatchString(name) {
		return false
	}
	key, value := knob.Key(n.items[0].String()), n.items[1]
	if below, ok := belowProc(n.items[0].String()); ok {
		key = below
	}
	if !looksLikeKey(key) || knob.Find(key) == nil || !isValue(value.String()) {
		return false
	}
	p.sysctlAt(n.items[0].row, key, value, false)
	return true
}

// setsPair are functions that set what they are given.
var setsPair = regexp.MustCompile(`(?i)(?:^|[._])(?:set|apply|tune|put)|write|sysctl`)

// setrlimit takes resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)).
func (p *parser) setrlimit(name string, v *node) {
	if len(v.items) != 2 || knob.Last(name) != "RLIMIT_NOFILE" {
		return
	}
	p.goTo(v.row)
	soft, hard := v.items[0].String(), v.items[1].String()
	p.add(setting{form: asUlimit, key: "RLIMIT_NOFILE", value: soft + ":" + hard,
		made: !isLimit(soft) || !isLimit(hard) || soft == "hard" || hard == "hard"})
}

// runtimeArguments are those of docker run, as lists of options have them.
func runtimeArguments(n *node) (words []word, ok bool) {
	for _, c := range n.items {
		if c.kind != scalar {
			return nil, false
		}
		text := c.String()
		ok = ok || strings.HasPrefix(text, "--sysctl") || strings.HasPrefix(text,
			"--ulimit")
		words = append(words, c.text)
	}
	return words, ok
}

// commandNames are names of lists that are one command.
var commandNames = []string{"command", "args", "cmd", "entrypoint", "argv", "exec"}

// commandList takes a command as a list: [sysctl, -w, net.core.somaxconn=1024].
func commandList(n *node, name string) (all []word, ok bool) {
	for _, c := range n.items {
		if c.kind != scalar {
			return nil, false
		}
		all = append(all, c.text)
	}
	if len(all) == 0 {
		return nil, false
	}
	first := path.Base(all[0].String())
	runs := first == "sysctl" || slices.Contains(shells, first) || isWrapper(first) ||
		isServer(first)
	return all, runs && len(unwrapped(all)) > 0 &&
		(n.flow || slices.Contains(commandNames, strings.ToLower(name)))
}

// shells run what follows -c.
var shells = []string{"sh", "bash", "ash", "dash", "zsh"}

// commandIn takes a command of a container, whose arguments may stand apart.
func (p *parser) commandIn(n *node, taken map[*node]bool) {
	command, args := n.under("command"), n.under("args")
	if command == nil || args == nil || command.kind != list || args.kind != list {
		return
	}
	both := &node{kind: list, row: command.row, flow: true,
		items: slices.Concat(command.items, args.items)}
	if words, ok := commandList(both, "command"); ok {
		taken[command], taken[args] = true, true
		p.within(p.world.running(), func() { p.command(unwrapped(words), nil) })
	}
}

func runsSysctl(text string) bool {
	return strings.Contains(text, "sysctl ") || strings.Contains(text, "/proc/sys/") ||
		strings.Contains(text, "/etc/security/limits") ||
		strings.Contains(text, "ulimit ") || strings.Contains(text, "prlimit ")
}

// runs are names of what is given to a shell.
var runs = set("command cmd shell script run exec entrypoint runcmd bootcmd inline before_script " +
	"after_script user_data provisioner execute prestart poststart ExecStart ExecStartPre " +
	"os.system subprocess.run subprocess.call subprocess.check_call execSync spawn system " +
	"user-data web worker start")

// scalar takes a string: a setting, a command, a script, or a file.
func (p *parser) scalar(n *node, name string) {
	text := n.String()
	p.goTo(n.text.row)
	switch {
	case text == "" || n.made:
	case p.opened != "" && strings.HasSuffix(name, "write"):
		p.writeNode(n)
	case strings.Contains(text, "/") && (strings.HasSuffix(name, "open") ||
		strings.HasSuffix(name, "Path")):
		p.opened = text
	case n.plain && p.lang.isCode() && p.lang.code:
	case strings.Contains(n.text.text, "\n"):
		p.block(n, name)
	case strings.HasPrefix(name, "ulimit") && strings.Count(text, ":") == 2:
		p.containerUlimit(strings.Replace(text, ":", "=", 1))
	case isUlimits(name):
		p.containerUlimit(text)
	case name == "environment" && strings.Contains(text, "="):
		p.environment(strings.Replace(text, "=", "='", 1)+"'", n.text.row)
	case isRemark(text):
		p.tells(n.text)
	case p.assignment(text) || p.limitsLine(text) || p.unitItem(text) ||
		p.moduleOption(text):
	case !runs[knob.Last(name)] && said.MatchString(text):
		p.tells(n.text)
	case strings.HasPrefix(text, "-") && givesOptions(text): // of a container of GitHub Actions
		p.commands(word{"docker run " + n.text.text, n.text.row})
	case runs[name] || runs[knob.Last(name)] || runsSysctl(text) || startsServer(text):
		w := p.withoutExpressions(n.text)
		p.within(p.world.running(), func() { p.commands(w) })
	}
}

// withoutExpressions puts marks for the expressions of Nix and HCL, which a shell would take for
// its own.
func (p *parser) withoutExpressions(w word) word {
	if p.lang == nixText || p.lang == hclText {
		w.text = interpolated.ReplaceAllStringFunc(w.text, p.mask)
	}
	return w
}

var interpolated = regexp.MustCompile(`\$\{[^}]*\}`)

// writeNode is what a program writes into a file that it opened.
func (p *parser) writeNode(n *node) {
	to := p.opened
	p.opened = ""
	if isKernelFile(to) {
		p.write(to, n.String())
	} else {
		p.fileText(to, n.text)
	}
}

// block takes a string of several lines. It may be YAML again, or a file of another kind.
func (p *parser) block(n *node, name string) {
	if p.lang.isCode() && p.lang.code && name == "" {
		p.tells(n.text) // what documents a function
		return
	}
	first := len(p.settings)
	if p.target != "" {
		p.fileText(p.target, n.text)
	}
	if f := p.sniffed(n.text.String()); len(p.settings) == first && f != nil {
		p.readAs(f, n.text)
	}
	if len(p.settings) == first {
		p.within(p.world.running(), func() { p.nested(p.withoutExpressions(n.text)) })
	}
}

var modules = regexp.MustCompile(`(?:^|\.)(?:sysctl|pam_limits|lineinfile|ini_file|copy)$`)

func isModule(key string) bool { return modules.MatchString(key) }

// arguments are those of a module on one line: name=net.core.somaxconn value=1024.
func (p *parser) arguments(v *node, module string) {
	n := &node{kind: table, row: v.row}
	for _, w := range quotedWords(v.String()) {
		if key, value, ok := strings.Cut(w, "="); ok {
			n.put(&node{text: word{key, v.text.row}, row: v.row},
				&node{text: word{value, v.text.row}, row: v.row, alias: v.alias})
		}
	}
	if len(n.keys) == 0 {
		p.scalar(v, module)
		return
	}
	p.table(n, module)
}

// quotedWords splits at blanks outside of quotes, and takes the quotes off.
func quotedWords(text string) (all []string) {
	var b strings.Builder
	quote, open := rune(0), false
	for _, c := range text + " " {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && strings.ContainsRune(blank+"\n", c):
			if open {
				all = append(all, b.String())
			}
			b.Reset()
			open = false
		default:
			b.WriteRune(c)
			open = true
		}
	}
	return all
}
