package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// wrapper is a command that runs the one behind it: how many words of its own stand in front of
// that, the word without which it does not, and its flags that have a value.
type wrapper struct {
	own         int
	with, flags string
}

// wrappers are those of shells, of containers, and of languages.
var wrappers = map[string]wrapper{
	"sudo": {flags: "-u -g -h -p -C -U -r -t"}, "doas": {flags: "-u -C"},
	"exec": {flags: "-a"}, "nohup": {}, "env": {flags: "-u -C"}, "time": {flags: "-f -o"},
	"command": {}, "builtin": {}, "busybox": {}, "nice": {flags: "-n"}, "-": {},
	"gosu": {own: 1}, "su-exec": {own: 1}, "s6-setuidgid": {own: 1}, "setuser": {own: 1},
	"chpst": {flags: "-u -U -b -/ -n -l -L -m -d -o -p -f -c -r -t"},
	"tini":  {flags: "-p -e"}, "dumb-init": {flags: "-r"}, "catatonit": {},
	"timeout": {own: 1, flags: "-s -k"}, "setsid": {}, "stdbuf": {flags: "-i -o -e"},
	"sshpass": {flags: "-p -f -d"},
	"ionice":  {flags: "-c -n"}, "chrt": {own: 1}, "taskset": {own: 1},
	"numactl": {flags: "-m -N -C -p"}, "setpriv": {flags: "--reuid --regid"},
	"python": {with: "-m", flags: "-X -W"}, "python3": {with: "-m", flags: "-X -W"},
	"uv":     {with: "run", flags: "--with --extra --group --project --directory -p"},
	"poetry": {with: "run"}, "pipenv": {with: "run"}, "pdm": {with: "run"},
	"bundle": {with: "exec"}, "npx": {}, "ddtrace-run": {}, "opentelemetry-instrument": {},
	"newrelic-admin": {with: "run-program"},
}

// behind is the command that a wrapper runs, nil where it runs none.
func (w wrapper) behind(words []word) []word {
	with := w.with == ""
	for ; len(words) > 0; words = words[1:] {
		text := words[0].String()
		switch {
		case !with && text == w.with:
			with = true
		case text == "--" || len(text) < 2 || text[0] != '-':
			if text == "--" {
				words = words[1:]
			}
			if !with || len(words) <= w.own {
				return nil
			}
			return words[w.own:]
		case slices.Contains(strings.Fields(w.flags), text) && len(words) > 1:
			words = words[1:]
		}
	}
	return nil
}

func isWrapper(name string) bool { _, ok := wrappers[name]; return ok }

// assignedFirst is a variable that env or sudo sets.
var assignedFirst = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// unwrapped takes off sudo and the like, with their flags, and settings of variables.
func unwrapped(words []word) []word {
	for len(words) > 0 {
		name := path.Base(words[0].text)
		switch {
		case isWrapper(name):
			rest := wrappers[name].behind(words[1:])
			if rest == nil && wrappers[name].with != "" {
				return words
			}
			words = rest
		case assignedFirst.MatchString(words[0].text) && len(words) > 1:
			words = words[1:]
		default:
			return words
		}
	}
	return nil
}
