package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// servers are programs whose command line says how they listen: their arguments with a value.
var servers = map[string]flags{
	"gunicorn": {"gunicorn", []option{{"--backlog", "gunicorn --backlog"},
		{"--worker-connections", "gunicorn --worker-connections"}}},
	"uvicorn": {"uvicorn", []option{{"--backlog", "uvicorn --backlog"},
		{"--limit-concurrency", "uvicorn --limit-concurrency"}}},
	"node": {program: "node"}, "nodejs": {program: "node"},
	"redis-server": redisFlags, "valkey-server": redisFlags,
	"mysqld": mysqlFlags, "mariadbd": mysqlFlags, "mysqld_safe": mysqlFlags,
	"postgres": postgresFlags, "postmaster": postgresFlags,
	"haproxy": {"haproxy", []option{{"-n", "maxconn"}}},
	"uwsgi":   {"uwsgi", []option{{"--listen", "listen"}, {"-l", "listen"}}},
	"memcached": {"memcached", []option{{"-b", "memcached -b"}, {"-c", "memcached -c"},
		{"--conn-limit", "memcached -c"}, {"--listen-backlog", "memcached -b"}}},
}

// flags are those of a program, each with the item that it sets.
type flags struct {
	program string
	all     []option
}

type option struct{ written, item string }

var (
	redisFlags = flags{"redis", []option{{"--tcp-backlog", "tcp-backlog"},
		{"--maxclients", "maxclients"}}}
	mysqlFlags = flags{"mysql", []option{{"--max-connections", "max_connections"},
		{"--back-log", "back_log"}, {"--open-files-limit", "open_files_limit"}}}
	postgresFlags = flags{"postgresql", []option{{"-N", "max_connections"},
		{"--max-connections", "max_connections"}}}
)

func isServer(name string) bool { _, ok := servers[name]; return ok }

// serverOf is the server that an image of a container runs, "" where that is not known.
func serverOf(image string) string {
	name, _, _ := strings.Cut(path.Base(image), "@")
	name, _, _ = strings.Cut(name, ":")
	return map[string]string{"mysql": "mysqld", "percona": "mysqld", "mariadb": "mariadbd",
		"postgres": "postgres", "postgis": "postgres", "pgvector": "postgres",
		"timescaledb": "postgres", "redis": "redis-server", "valkey": "valkey-server",
		"memcached": "memcached", "haproxy": "haproxy"}[name]
}

// serverNamed is the server that a word of a command line names, itself or by its image.
func (p *parser) serverNamed(w string) string {
	switch name := path.Base(w); {
	case isServer(name):
		return name
	case p.world.given:
		return serverOf(w)
	}
	return ""
}

// imageCommand takes the arguments of a container whose image runs a server.
func (p *parser) imageCommand(n *node, taken map[*node]bool) {
	server := serverOf(n.at("image"))
	for _, name := range []string{"command", "args"} {
		v := n.under(name)
		if v == nil || server == "" || v.kind == table {
			continue
		}
		var words []word
		for _, c := range append(v.items, v) {
			for _, one := range quotedWords(c.String()) {
				words = append(words, word{one, c.text.row})
			}
		}
		if len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
			taken[v] = true
			p.within(p.world.running(), func() { p.server(server, words) })
		}
	}
}

// variables are those of the environment from which servers take arguments.
var variables = map[string]struct{ server, flag string }{
	"GUNICORN_CMD_ARGS": {server: "gunicorn"}, "REDIS_EXTRA_FLAGS": {server: "redis-server"},
	"REDIS_ARGS":                 {server: "redis-server"},
	"UVICORN_BACKLOG":            {"uvicorn", "--backlog="},
	"UVICORN_LIMIT_CONCURRENCY":  {"uvicorn", "--limit-concurrency="},
	"UWSGI_LISTEN":               {"uwsgi", "--listen="},
	"POSTGRESQL_MAX_CONNECTIONS": {"postgres", "--max-connections="},
	"MYSQL_MAX_CONNECTIONS":      {"mysqld", "--max-connections="},
	"MARIADB_MAX_CONNECTIONS":    {"mariadbd", "--max-connections="},
	"MEMCACHED_MAX_CONNECTIONS":  {"memcached", "--conn-limit="},
}

// variableItem takes a variable of the environment.
func (p *parser) variableItem(name, value string, row int) bool {
	known, ok := variables[name]
	if !ok {
		return false
	}
	var words []word
	for _, one := range quotedWords(known.flag + value) {
		words = append(words, word{one, row})
	}
	p.asked = p.asked || strings.Contains(value, "--backlog")
	return p.server(known.server, words)
}

// environment takes NAME=VALUE, several of them with quotes.
func (p *parser) environment(text string, row int) {
	for _, one := range quotedWords(text) {
		if name, value, ok := strings.Cut(one, "="); ok {
			p.variableItem(name, value, row)
		}
	}
}

// startsServer says whether a command line begins with one of them.
func startsServer(text string) bool {
	words := strings.Fields(text)
	return len(words) > 1 && len(words) < 40 && isServer(path.Base(words[0]))
}

// server takes the command line of a server.
func (p *parser) server(name string, args []word) bool {
	known, ok := servers[name]
	if !ok {
		return false
	}
	if name == "node" || name == "nodejs" {
		if runsFile(args) && (p.role != anyRole || p.depth > 1) {
			p.program("node", "node listen backlog", "511")
		}
		return true
	}
	asked := p.asked || !servesAnApp(args)
	for i, a := range args {
		if setting, ok := strings.CutPrefix(a.String(), "-c"); ok &&
			known.program == "postgresql" {
			if setting == "" && i+1 < len(args) {
				setting = args[i+1].String()
			}
			name, value, _ := strings.Cut(setting, "=")
			p.goTo(a.row)
			p.program(known.program, trim(name), trim(value))
		}
		asked = asked || strings.HasPrefix(a.String(), "--backlog")
		written, value, ok := strings.Cut(a.String(), "=")
		if !ok && i+1 < len(args) {
			value = args[i+1].String()
		}
		if name == "gunicorn" && (written == "-c" || written == "--config") {
			p.goTo(a.row)
			p.includes(strings.TrimPrefix(value, "file:"), formatTagged("gunicorn"))
			asked = true
		}
		if len(written) > 2 {
			written = strings.ReplaceAll(written, "_", "-")
		}
		for _, f := range known.all {
			if f.written == written && (ok || isValue(value)) {
				p.goTo(a.row)
				p.program(known.program, f.item, value)
			}
		}
	}
	if asks := name == "gunicorn" || name == "uvicorn"; asks && !asked && len(args) > 0 {
		p.goTo(args[0].row)
		p.program(name, name+" listen backlog", "2048")
	}
	return true
}

// servesAnApp says whether a server of Python is given an application: module:name.
func servesAnApp(args []word) bool {
	return slices.ContainsFunc(args, func(w word) bool {
		module, app, ok := strings.Cut(w.String(), ":")
		return ok && module != "" && app != "" && isLetter(module[0]) && isLetter(app[0])
	})
}

// runsFile says whether node is given a program to run.
func runsFile(args []word) bool {
	for _, a := range args {
		if text := a.String(); !strings.HasPrefix(text, "-") {
			return strings.HasSuffix(text, "js") || strings.HasSuffix(text, ".ts") ||
				text == "." || strings.HasSuffix(text, "server")
		}
	}
	return false
}

// inCode takes what programs give to the functions that listen.
func (p *parser) inCode(key string, v *node) bool {
	last, of := knob.Last(key), knob.Last(p.under)
	switch {
	case p.lang == pythonText && p.under == "uvicorn.run":
		return p.program("uvicorn", "uvicorn "+key, v.String())
	case p.lang == nixText:
		for _, name := range []string{"redis", "mysql", "postgresql"} {
			if strings.Contains(key+" "+p.under, name) &&
				p.program(name, last, v.String()) {
				return true
			}
		}
		return of == "settings" && p.program("postgresql", last, v.String())
	case p.lang == pythonText && key == "backlog":
		return p.program("python", "listen backlog", v.String())
	case p.lang == scriptText && key == "backlog" && of == "listen":
		return p.program("node", "node backlog", v.String())
	case p.lang == scriptText && last == "maxConnections":
		return p.program("node", "node maxConnections", v.String())
	}
	return false
}

// listens takes listen(128) of Python, and listen(port, host, backlog) of Node.
func (p *parser) listens(n *node, name string) {
	last := n.items[len(n.items)-1]
	switch {
	case knob.Last(name) != "listen":
		return
	case p.lang == scriptText && len(n.items) > 3:
		last = n.items[2]
	case p.lang == scriptText && len(n.items) < 2, p.lang != scriptText && len(n.items) != 1:
		return
	}
	if p.goTo(n.row); last.kind == scalar && isValue(last.String()) {
		if p.lang == scriptText {
			p.program("node", "node backlog", last.String())
		} else if p.lang == pythonText {
			p.program("python", "listen backlog", last.String())
		}
	}
}
