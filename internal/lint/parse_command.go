package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// commands takes the commands of a string. In one over several lines, every form is looked for.
func (p *parser) commands(w word) {
	if strings.Contains(w.text, "\n") {
		p.nested(w)
		return
	}
	p.inside(w, func() { p.statement(asScript(w.text)) })
}

// nested reads the lines of a string as those of a script.
func (p *parser) nested(w word) {
	p.inside(w, func() {
		text := asScript(strings.ReplaceAll(w.text, written, ""))
		p.read(&rows{rest: text, n: w.row - 1}, shellRole)
	})
}

// inside reads text that stands inside of a command, and has no lines after it.
func (p *parser) inside(w word, step func()) {
	if p.depth >= deepest {
		return
	}
	was := *p
	p.row, p.all, p.depth = w.row, nil, was.depth+1
	step()
	p.depth, p.row, p.all = was.depth, was.row, was.all
	p.role, p.here = was.role, was.here
	if strings.Contains(w.text, written) {
		p.backIn(w, len(was.settings), len(was.refers))
	}
}

// backIn puts what was found in a text into the rows of the file: those lines of the text that were
// written as \n stand in the row of the line before.
func (p *parser) backIn(w word, settings, refers int) {
	rows := []int{w.row}
	for i := 0; i < len(w.text); i++ {
		if folds := strings.HasPrefix(w.text[i:], folded); folds || w.text[i] == '\n' {
			row := rows[len(rows)-1]
			if folds || !strings.HasPrefix(w.text[i+1:], written) {
				row++
			}
			rows = append(rows, row)
		}
	}
	in := func(row int) int { return rows[min(max(row-w.row, 0), len(rows)-1)] }
	for i := settings; i < len(p.settings); i++ {
		p.settings[i].row = in(p.settings[i].row)
	}
	for i := refers; i < len(p.refers); i++ {
		p.refers[i].Line = in(p.refers[i].Line)
	}
}

// files leaves out what is no file.
func files(targets []string) (out []string) {
	for _, t := range targets {
		if t != "" && t != "/dev/null" && !strings.HasPrefix(t, "&") {
			out = append(out, t)
		}
	}
	return out
}

// command takes one command; targets are the files that its output goes to.
func (p *parser) command(words []word, targets []string) {
	args := words[1:]
	switch path.Base(words[0].text) {
	case "sysctl":
		p.sysctl(args)
	case "echo":
		if p.echo(args, targets); len(targets) == 0 {
			p.tells(args...)
		}
	case "perl":
		p.sed(args)
	case "systemd-run", "systemctl":
		p.unitItems(texts(args))
	case "printf":
		if p.printf(args, targets); len(targets) == 0 {
			p.tells(args...)
		}
	case "ulimit":
		p.ulimit(texts(args))
	case "prlimit":
		p.prlimit(texts(args))
	case "ifconfig":
		p.queueLength(texts(args))
	case "ip":
		p.ip(args)
	case "sed":
		if len(targets) > 0 || slices.ContainsFunc(args, isInPlace) {
			p.sed(args)
		} else {
			p.tells(args...)
		}
	case "modprobe", "insmod":
		p.modprobe(texts(args))
	case "apt", "apt-get", "yum", "dnf", "man", "grep", "cat", "which", "rm", "awk", "git",
		"tee", "xargs", ":", "true", "export", "cd", "mkdir", "test", "[", "[[":
		p.tells(words...)
	default:
		name := path.Base(words[0].String())
		if message.MatchString(name) {
			p.tells(words...)
			return
		}
		if p.elements(words) || p.inBlock(words) || p.server(name, args) {
			return
		}
		if p.role == anyRole && p.depth < 2 && len(words) > 3 && !slices.Contains(carriers,
			name) && !slices.Contains(shells, name) && !strings.HasPrefix(name, "$") {
			return // a sentence
		}
		was := p.where
		if slices.Contains(carriers, name) {
			p.where = name
		}
		p.within(p.carried(name, args), func() { p.otherCommand(args) })
		p.where = was
	}
}

// message are commands and functions of scripts that tell something, and run nothing.
var message = regexp.MustCompile(`(?i)^_*(?:(?:log|print|msg|say|echo|show|write)_\w+|` +
	`\w+_(?:log|msg|message|info|warn|warning|error|fail|ok)|` +
	`e?(?:log|info|warn|error|die|debug|notice)|logger|msg|message|say|warning|err|fatal|` +
	`fail|failure|ok|pass|skip|success|abort|bail|panic|usage|help|note|title|header|hint|` +
	`dialog|whiptail|zenity|kdialog|xmessage|notify-send|wall|figlet|cowsay|logit)$`)

// isInPlace is the flag with which sed changes files; without it, it only prints.
func isInPlace(w word) bool { return inPlace.MatchString(w.text) }

var inPlace = regexp.MustCompile(`^(?:-[a-zA-Z]*i|--in-place)`)

// carried is the world of what a command runs or makes.
func (p *parser) carried(name string, args []word) world {
	all := texts(args)
	switch {
	case name == "nsenter" && (slices.Contains(all, "-t1") || slices.Contains(all, "1")):
		return world{}
	case name == "nsenter" && slices.ContainsFunc(all, func(a string) bool {
		return slices.Contains([]string{"-n", "--net", "-a", "--all"}, a)
	}):
		return world{scope: OfNetns}
	case name == "kubectl" || name == "oc":
		return world{scope: OfPod}
	case !slices.Contains([]string{"docker", "podman", "nerdctl"}, name):
		return p.world
	}
	w := world{scope: OfContainer, given: true, privileged: slices.Contains(all,
		"--privileged")}
	for i, a := range all {
		w.hostNet = w.hostNet || a == "--net=host" || a == "--network=host" ||
			(a == "--net" || a == "--network") && i+1 < len(all) && all[i+1] == "host"
	}
	return w
}

// unitItems takes systemd-run -p LimitNOFILE=65536 and systemctl set-property.
func (p *parser) unitItems(args []string) {
	was := p.section
	defer func() { p.section = was }()
	p.section = strings.Join(args, " ") // of a unit of its own
	for _, a := range args {
		a = strings.TrimPrefix(strings.TrimPrefix(a, "--property="), "-p")
		p.unitItem(a)
	}
}

// inBlock takes a line of a file that is read as it stands, among commands that belong together.
func (p *parser) inBlock(words []word) bool {
	t := strings.Join(texts(words), " ")
	name, _, ok := strings.Cut(t, "=")
	return (ok && looksLikeKey(trim(name)) || len(words) == 4) && p.plain(t)
}

// carriers run a command elsewhere: what it sets does not meet what this host sets.
var carriers = []string{"ssh", "docker", "podman", "nerdctl", "kubectl", "nsenter", "lxc", "chroot",
	"systemd-nspawn", "ansible", "pssh", "vagrant", "multipass", "salt", "salt-ssh", "pdsh",
	"clush", "gcloud", "aws", "az", "limactl", "machinectl"}

// otherCommand looks into commands that run others: sh -c '...', ssh host '...', nsenter sysctl -w,
// docker run --sysctl k=v.
func (p *parser) otherCommand(args []word) {
	for i := 0; i < len(args); i++ {
		p.row = args[i].row
		w := args[i].String()
		server := p.serverNamed(w)
		switch {
		case path.Base(w) == "sysctl" && (i == 0 || args[i-1].text != "-m"):
			p.within(p.world.running(), func() { p.sysctl(args[i+1:]) })
			return
		case w == "-a" && p.where == "ansible" && i+1 < len(args):
			i++
			p.arguments(&node{text: args[i], row: args[i].row, plain: true}, "shell")
		case strings.HasSuffix(w, "}") && strings.Contains(w, `{"`): // JSON, of a flag
			p.bracesIn(word{w[strings.IndexByte(w, '{'):], args[i].row}, jsonText)
		case server != "" && i+1 < len(args) && strings.HasPrefix(args[i+1].text, "-"):
			p.within(p.world.running(), func() { p.server(server, args[i+1:]) })
			return
		case p.isSaid(w):
			p.tells(args[i])
		case strings.ContainsAny(w, blank+"\n") && !strings.HasPrefix(w, "-"):
			p.within(p.world.running(), func() {
				p.commands(word{unquote.Replace(args[i].text), args[i].row})
			})
		case strings.HasPrefix(w, "--sysctl="):
			p.sysctl([]word{{strings.TrimPrefix(w, "--sysctl="), args[i].row}})
		case w == "--sysctl" && i+1 < len(args):
			i++
			p.sysctl(args[i : i+1])
		case (w == "-e" || w == "--env") && i+1 < len(args):
			i++
			name, value, _ := strings.Cut(args[i].String(), "=")
			p.within(p.world.running(), func() {
				p.variableItem(name, value, args[i].row)
			})
		case (w == "--ulimit" || w == "--default-ulimit") && i+1 < len(args):
			i++
			p.containerUlimit(args[i].String())
		case strings.HasPrefix(w, "--ulimit="), strings.HasPrefix(w, "--default-ulimit="):
			p.containerUlimit(w[strings.IndexByte(w, '=')+1:])
		default:
			p.argument(w, texts(args[i+1:min(len(args), i+2)]))
		}
	}
}

// isSaid says whether a string is a sentence that names a command, and none that runs it: a word of
// letters stands in front.
func (p *parser) isSaid(text string) bool {
	return !slices.Contains(carriers, p.where) && said.MatchString(text)
}

var said = regexp.MustCompile(`^(?i:please|run|try|use|set|setting|you|your|the|this|could|can|` +
	`cannot|failed|failure|unable|now|to|is|are|not|no|warning|error|note|hint|usage|` +
	`running|raising|applying|applied|increase|increasing|consider|check|checking|need|` +
	`must|should)[:,]?[ \t]+[^;&|\n]*$`)

// unquote undoes what a level of quoting left.
var unquote = strings.NewReplacer(`\'`, "'", `\"`, `"`)

// argument takes what functions of scripts are given: set_sysctl net.core.somaxconn 1024, apply
// net.core.somaxconn=1024.
func (p *parser) argument(w string, rest []string) {
	if key, ok := belowProc(w); ok && knob.Find(key) != nil {
		w = key // write_file /proc/sys/net/core/somaxconn 1024
	}
	name, value, ok := strings.Cut(w, "=")
	key := knob.Key(name)
	if !looksLikeKey(name) || p.role == anyRole && knob.Find(key) == nil || !p.isNearKey(key) {
		return
	}
	switch {
	case ok && value != "":
		p.add(setting{form: asWrite, key: key, value: value})
	case !ok && len(rest) > 0 && rest[0] != "" && (isDigit(rest[0][0]) || variable(rest[0])):
		p.add(setting{form: asWrite, key: key, value: rest[0]})
	}
}

var blanksInSysctl = Note{NoEffect, "sysctl wants name=value as one word: with blanks around the " +
	"= it reports a syntax error and sets nothing.", "sysctl(8); measured with procps 4.0.2"}

// sysctl takes the arguments of sysctl(8).
func (p *parser) sysctl(args []word) {
	for i := range args {
		p.row = args[i].row
		a := args[i].String()
		switch {
		case strings.HasPrefix(a, "-p"), strings.HasPrefix(a, "--load"), a == "--system",
			a == "-f":
			p.loads(args[i:])
			return
		case strings.HasPrefix(a, "-"):
			continue
		}
		name, value, ok := strings.Cut(a, "=")
		name = trim(name)
		switch {
		case p.eachOfLoop(a):
		case ok && name != "":
			p.add(setting{form: asWrite, key: knob.Key(name), value: trim(value)})
		case looksLikeKey(name) && i+1 < len(args) &&
			strings.HasPrefix(args[i+1].text, "="):
			value := trim(strings.Join(texts(args[i+1:]), " ")[1:])
			p.add(setting{form: asWrite, key: knob.Key(name), value: value,
				flaw: &blanksInSysctl})
			return
		}
	}
}

// eachOfLoop takes name=value, or a variable for it, where a loop puts something in its place.
func (p *parser) eachOfLoop(arg string) (found bool) {
	for _, one := range p.expanded(arg) {
		if name, value, ok := strings.Cut(one, "="); ok && one != arg {
			p.add(setting{form: asWrite, key: knob.Key(trim(name)), value: trim(value)})
			found = true
		}
	}
	return found
}

var echoFlags = regexp.MustCompile(`^-[neE]+$`)

// echo is what echo prints, written to files.
func (p *parser) echo(args []word, targets []string) {
	escapes := false
	for len(args) > 0 && echoFlags.MatchString(args[0].text) {
		escapes = escapes || strings.Contains(args[0].text, "e")
		args = args[1:]
	}
	var out printout
	for i, a := range args {
		if i > 0 {
			out.text.WriteByte(' ')
		}
		if escapes {
			a.text = unescapes.Replace(a.text)
		}
		out.add(a)
	}
	p.printed(out.word(), targets)
}

// printout is text put together of words, which keeps the rows of its parts.
type printout struct {
	text       strings.Builder
	first, row int
}

func (o *printout) add(w word) {
	if o.first == 0 {
		o.first, o.row = w.row, w.row
	}
	for ; o.row < w.row; o.row++ {
		o.text.WriteString(folded)
	}
	o.text.WriteString(w.text)
	o.row += strings.Count(w.text, folded) + strings.Count(w.text, "\n")
	o.row -= strings.Count(w.text, written)
}

func (o *printout) word() word { return word{o.text.String(), o.first} }

func (p *parser) printed(w word, targets []string) {
	for _, t := range targets {
		if t == toTree {
			p.content([]string{t}, w)
			continue
		}
		for row, line := range w.lines() {
			p.row = row
			p.write(t, line)
		}
	}
}

// isKernelFile says whether a path is one through which the kernel is told something.
func isKernelFile(target string) bool {
	return strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/")
}

// write is a line that goes to a file: one under /proc/sys or /sys, or one that is read at boot.
func (p *parser) write(target, text string) {
	switch {
	case trim(text) == "":
		return
	case target == toSysctl:
		p.as(sysctlRole, text)
		return
	case target == toShell:
		p.as(shellRole, text)
		return
	}
	if _, ok := belowProc(target); ok {
		for _, one := range p.expanded(target) {
			key, _ := belowProc(one)
			p.add(setting{form: asWrite, key: key, value: trim(text)})
		}
		return
	}
	if device, ok := queueFile(target); ok {
		p.add(setting{form: asQueue, key: "txqueuelen", value: trim(text), subject: device})
		return
	}
	if target == "/sys/module/nf_conntrack/parameters/hashsize" {
		p.add(setting{form: asOption, key: "hashsize", value: trim(text),
			subject: "running"})
		return
	}
	r := roleOf(target)
	if r == rcLocalRole || r == anyRole {
		r = shellRole
	}
	p.into(target, func() { p.as(r, text) })
}

// toSysctl, toShell and toTree are where the output of commands goes that sysctl -p, a shell, and
// what takes YAML read.
const (
	toSysctl = "\x00sysctl"
	toShell  = "\x00shell"
	toTree   = "\x00tree"
)

// queueFile is /sys/class/net/DEVICE/tx_queue_len.
func queueFile(target string) (device string, ok bool) {
	rest, ok := strings.CutPrefix(target, "/sys/class/net/")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/tx_queue_len")
}
