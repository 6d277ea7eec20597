package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// wrappers are words in front of a command that run it.
var wrappers = []string{"sudo", "doas", "exec", "nohup", "env", "time", "command", "builtin", "busybox", "nice", "if", "then", "else", "elif", "do", "while", "until", "!", "{", "-"}

// commands takes the commands of a line.
func (p *parser) commands(t string) {
	if p.depth >= deepest {
		return
	}
	p.depth++
	defer func() { p.depth-- }()
	for _, pipe := range shellLine(t) {
		p.pipeline(pipe)
	}
}

// longestPipe is how many commands behind one are looked at for where its output goes.
const longestPipe = 4

func (p *parser) pipeline(pipe pipeline) {
	for i, c := range pipe {
		words := unwrapped(c.words)
		if len(words) == 0 {
			continue
		}
		targets := append(slices.Clone(c.out), teed(words)...)
		for _, later := range pipe[i+1 : min(len(pipe), i+1+longestPipe)] {
			targets = append(targets, append(teed(unwrapped(later.words)), later.out...)...)
		}
		if c.feed != "" {
			p.fed(c, words, files(targets))
			continue
		}
		if c.here != "" {
			p.here = &document{end: c.here, targets: files(targets)}
			continue
		}
		p.command(words, files(targets))
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

// teed are the files that a tee writes.
func teed(words []string) (files []string) {
	if len(words) == 0 || path.Base(words[0]) != "tee" {
		return nil
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") {
			files = append(files, w)
		}
	}
	return files
}

// unwrapped takes off sudo and the like, with their flags, and settings of variables.
func unwrapped(words []string) []string {
	for len(words) > 0 {
		name := path.Base(words[0])
		switch {
		case oneOf(name, wrappers):
			words = words[1:]
			for len(words) > 1 && strings.HasPrefix(words[0], "-") {
				flag := words[0]
				words = words[1:]
				if flag == "-u" || flag == "-g" || flag == "-n" && name == "nice" {
					words = words[1:]
				}
			}
		case strings.Contains(name, "=") && !looksLikeKey(strings.SplitN(words[0], "=", 2)[0]) && len(words) > 1:
			words = words[1:]
		default:
			return words
		}
	}
	return nil
}

// command takes one command; targets are the files that its output goes to.
func (p *parser) command(words, targets []string) {
	args := words[1:]
	switch path.Base(words[0]) {
	case "sysctl":
		p.sysctl(args)
	case "echo":
		p.echo(args, targets)
	case "printf":
		p.printf(args, targets)
	case "ulimit":
		p.ulimit(args)
	case "prlimit":
		p.prlimit(args)
	case "ifconfig":
		p.queueLength(args)
	case "ip":
		p.ip(args)
	case "sed":
		p.sed(args)
	case "for":
		p.loop(args)
	case "modprobe", "insmod":
		p.modprobe(args)
	case "apt", "apt-get", "yum", "dnf", "man", "grep", "cat", "which", "rm", "awk", "git", "tee":
	default:
		if p.elements(words) {
			return
		}
		was := p.where
		if name := path.Base(words[0]); oneOf(name, carriers) {
			p.where = name
		}
		p.otherCommand(args)
		p.where = was
	}
}

// carriers run a command elsewhere: what it sets does not meet what this host sets.
var carriers = []string{"ssh", "docker", "podman", "nerdctl", "kubectl", "nsenter", "lxc", "chroot", "systemd-nspawn", "ansible", "pssh", "vagrant"}

// otherCommand looks into commands that run others: sh -c '...', ssh host '...', docker run --sysctl k=v, nsenter sysctl -w.
func (p *parser) otherCommand(args []string) {
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case path.Base(w) == "sysctl":
			p.sysctl(args[i+1:])
			return
		case strings.ContainsAny(w, blank):
			p.commands(unquote.Replace(w))
		case strings.HasPrefix(w, "--sysctl="):
			p.sysctl([]string{strings.TrimPrefix(w, "--sysctl=")})
		case w == "--sysctl" && i+1 < len(args):
			i++
			p.sysctl(args[i : i+1])
		case w == "--ulimit" && i+1 < len(args):
			i++
			p.containerUlimit(args[i])
		case strings.HasPrefix(w, "--ulimit="):
			p.containerUlimit(strings.TrimPrefix(w, "--ulimit="))
		default:
			p.argument(w, args[i+1:])
		}
	}
}

// unquote undoes what a level of quoting left.
var unquote = strings.NewReplacer(`\'`, "'", `\"`, `"`)

// argument takes what functions of scripts are given: set_sysctl net.core.somaxconn 1024, apply net.core.somaxconn=1024.
func (p *parser) argument(w string, rest []string) {
	name, value, ok := strings.Cut(w, "=")
	key := canonical(name)
	if !looksLikeKey(name) || knob.Find(key) == nil && len(p.spelled.nearest(key)) == 0 {
		return
	}
	switch {
	case ok && value != "":
		p.add(setting{form: asWrite, key: key, value: value})
	case !ok && len(rest) > 0 && rest[0] != "" && (rest[0][0] >= '0' && rest[0][0] <= '9' || variable(rest[0])):
		p.add(setting{form: asWrite, key: key, value: rest[0]})
	}
}

var blanksInSysctl = Note{NoEffect, "sysctl wants name=value as one word: with blanks around the = it reports a syntax error and sets nothing.", "sysctl(8); measured with procps 4.0.2"}

// sysctl takes the arguments of sysctl(8).
func (p *parser) sysctl(args []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case strings.HasPrefix(a, "-p"), strings.HasPrefix(a, "--load"), a == "--system", a == "-f":
			return // reads files
		case strings.HasPrefix(a, "-"):
			continue
		}
		name, value, ok := strings.Cut(a, "=")
		name = trim(name)
		switch {
		case ok && name != "":
			for _, key := range p.keysOf(name) {
				p.add(setting{form: asWrite, key: canonical(key), value: trim(value)})
			}
		case looksLikeKey(name) && i+1 < len(args) && strings.HasPrefix(args[i+1], "="):
			rest := strings.Join(args[i+1:], " ")
			p.add(setting{form: asWrite, key: canonical(name), value: trim(strings.TrimPrefix(rest, "=")), flaw: &blanksInSysctl})
			return
		}
	}
}

// echo is what echo prints, written to files.
func (p *parser) echo(args, targets []string) {
	escapes := false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		escapes = escapes || strings.Contains(args[0], "e")
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		text = unescaped(text)
	}
	p.printed(text, targets)
}

func (p *parser) printed(text string, targets []string) {
	for _, t := range targets {
		for line := range strings.Lines(text + "\n") {
			p.write(t, strings.TrimRight(line, "\n"))
		}
	}
}

// write is a line that goes to a file: one under /proc/sys or /sys, or one of those that are read at boot.
func (p *parser) write(target, text string) {
	if trim(text) == "" {
		return
	}
	if key, ok := belowProc(target); ok {
		p.add(setting{form: asWrite, key: key, value: trim(text)})
		return
	}
	if device, ok := queueFile(target); ok {
		p.add(setting{form: asQueue, key: "txqueuelen", value: trim(text), subject: device})
		return
	}
	if target == "/sys/module/nf_conntrack/parameters/hashsize" {
		p.add(setting{form: asOption, key: "hashsize", value: trim(text), subject: "running"})
		return
	}
	r := roleOf(target)
	if r == rcLocalRole || r == treeRole {
		r = anyRole
	}
	p.into(target, func() { p.as(r, text) })
}

// queueFile is /sys/class/net/DEVICE/tx_queue_len.
func queueFile(target string) (device string, ok bool) {
	rest, ok := strings.CutPrefix(target, "/sys/class/net/")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/tx_queue_len")
}
