package lint

import "strings"

// ulimit takes ulimit -n 65536, -SHn, -Hn -u.
func (p *parser) ulimit(args []string) {
	which := ""
	item := ""
	for _, a := range args {
		if flags, ok := strings.CutPrefix(a, "-"); ok && a != "-1" {
			which += strings.Trim(flags, "abcdefghijklmnopqrstuvwxyz")
			switch {
			case strings.Contains(flags, "n"):
				item = "ulimit -n"
			case strings.Contains(flags, "u"):
				item = "ulimit -u"
			}
			continue
		}
		if item != "" {
			p.add(setting{form: asUlimit, key: item, value: a,
				subject: limitTypes(which)})
		}
		return
	}
}

// containerUlimit takes docker run --ulimit nofile=1024:4096.
func (p *parser) containerUlimit(arg string) {
	if name, value, ok := strings.Cut(arg, "="); ok && (name == "nofile" || name == "nproc") &&
		value != "" {
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
			p.command(args[i+2:], nil)
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
			oneOf(a, []string{"link", "l", "set", "dev", "up", "down"}):
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
