package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/serverconf"
)

// measure is what a setting of a program is about.
type measure uint8

const (
	itsQueue  measure = iota + 1 // the backlog argument of listen()
	itsFiles                     // the descriptor limit that it sets for itself
	itsConns                     // connections that a process of it holds
	itsPorts                     // local ports of its connections
	itsBounds                    // a bound of its own that asks the kernel for nothing
)

// item is a setting of a program, or an argument of its command line.
type item struct {
	program, name string
	is            measure
	// each is how many descriptors a connection takes, and own how many the program has
	// besides; times is by how much the number is multiplied for listen().
	each, own, times int64
	// files is the item of the same program that raises its descriptor limit.
	files string
	// does is what else there is to say of it.
	does   string
	source string
}

const listenDoc = "; net/socket.c __sys_listen_socket"

// items are what is known of programs.
var items = []item{
	{program: "nginx", name: "backlog", is: itsQueue, source: "nginx ngx_http_core_module " +
		"listen"},
	{program: "nginx", name: "worker_rlimit_nofile", is: itsFiles, source: "nginx " +
		"ngx_core_module"},
	{program: "nginx", name: "worker_connections", is: itsConns, each: 1,
		files:  "worker_rlimit_nofile",
		does:   "Connections to backends count too: as a proxy a request takes two.",
		source: "nginx src/core/ngx_connection.c ngx_get_connection"},
	{program: "nginx", name: "keepalive", is: itsBounds,
		does: "Keeps that many idle connections to the backends of the group open in " +
			"each worker. It is no bound on connections, but those in use again need " +
			"no new port: without it each request to a backend leaves one in " +
			"TIME_WAIT.",
		source: "nginx ngx_http_upstream_module keepalive"},
	{program: "haproxy", name: "backlog", is: itsQueue, source: "haproxy " +
		"doc/configuration.txt backlog"},
	{program: "haproxy", name: "ulimit-n", is: itsFiles,
		source: "haproxy doc/configuration.txt ulimit-n"},
	{program: "haproxy", name: "maxconn", is: itsConns, each: 2, files: "ulimit-n",
		does: "A connection takes two descriptors, that of the client and that of the " +
			"server.",
		source: "haproxy doc/configuration.txt maxconn"},
	{program: "haproxy", name: "server maxconn", is: itsBounds,
		does:   "Bounds the connections to one server; what is above waits in HAProxy.",
		source: "haproxy doc/configuration.txt maxconn (server)"},
	{program: "haproxy", name: "source", is: itsPorts, source: "haproxy " +
		"doc/configuration.txt source"},
	{program: "redis", name: "tcp-backlog", is: itsQueue, source: "redis.conf tcp-backlog"},
	{program: "redis", name: "maxclients", is: itsConns, each: 1, own: 32,
		does: "Redis raises its descriptor limit to that many and 32 when it starts, " +
			"and lowers maxclients where it may not.",
		source: "redis src/server.c adjustOpenFilesLimit"},
	{program: "mysql", name: "back_log", is: itsQueue, source: "mysqld back_log"},
	{program: "mysql", name: "open_files_limit", is: itsFiles, source: "mysqld " +
		"open_files_limit"},
	{program: "mysql", name: "max_connections", is: itsConns, each: 1, own: 10,
		files: "open_files_limit", source: "mysqld max_connections; sql/mysqld.cc"},
	{program: "postgresql", name: "max_connections", is: itsQueue, times: 2,
		does: "Each connection is a process: it bounds connections by processes and " +
			"memory, not by descriptors.",
		source: "postgresql src/backend/libpq/pqcomm.c ListenServerPort"},
	{program: "apache", name: "ListenBacklog", is: itsQueue, source: "httpd mpm_common " +
		"ListenBacklog"},
	{program: "apache", name: "MaxRequestWorkers", is: itsBounds,
		does: "Bounds the connections that are served at once; further ones wait in the " +
			"accept queue (ListenBacklog).", source: "httpd mpm_common " +
			"MaxRequestWorkers"},
	{program: "apache", name: "MaxClients", is: itsBounds,
		does: "Is the old name of MaxRequestWorkers, the bound on connections that " +
			"are served at once.",
		source: "httpd mpm_common MaxRequestWorkers"},
	{program: "envoy", name: "tcp_backlog_size", is: itsQueue,
		source: "envoy config.listener.v3.Listener tcp_backlog_size"},
	{program: "envoy", name: "max_connections", is: itsBounds,
		does:   "Bounds the connections to the cluster, in each thread's view of it.",
		source: "envoy config.cluster.v3.CircuitBreakers"},
	{program: "envoy", name: "global_downstream_max_connections", is: itsConns, each: 1,
		source: "envoy overload manager global_downstream_max_connections"},
	{program: "envoy", name: "max_active_downstream_connections", is: itsConns, each: 1,
		source: "envoy overload manager global_downstream_max_connections"},
	{program: "memcached", name: "memcached -b", is: itsQueue, source: "memcached(1) -b"},
	{program: "memcached", name: "memcached -c", is: itsConns, each: 1,
		does: "Memcached raises its descriptor limit to that number when it starts, " +
			"where it may.",
		source: "memcached(1) -c"},
	{program: "kubelet", name: "maxOpenFiles", is: itsFiles,
		source: "kubelet.config.k8s.io KubeletConfiguration maxOpenFiles"},
	{program: "supervisor", name: "minfds", is: itsFiles, source: "supervisord minfds"},
	{program: "gunicorn", name: "gunicorn backlog", is: itsQueue, source: "gunicorn " +
		"settings backlog"},
	{program: "gunicorn", name: "gunicorn --backlog", is: itsQueue,
		source: "gunicorn settings backlog"},
	{program: "gunicorn", name: "gunicorn worker_connections", is: itsConns, each: 1,
		does:   "Acts with gevent, eventlet and gthread workers alone.",
		source: "gunicorn settings worker_connections"},
	{program: "gunicorn", name: "gunicorn --worker-connections", is: itsConns, each: 1,
		does:   "Acts with gevent, eventlet and gthread workers alone.",
		source: "gunicorn settings worker_connections"},
	{program: "uvicorn", name: "uvicorn --backlog", is: itsQueue, source: "uvicorn settings " +
		"--backlog"},
	{program: "uvicorn", name: "uvicorn --limit-concurrency", is: itsConns, each: 1,
		does:   "Above it clients get status 503.",
		source: "uvicorn settings --limit-concurrency"},
	{program: "uwsgi", name: "listen", is: itsQueue, source: "uwsgi option listen"},
	{program: "gunicorn", name: "gunicorn listen backlog", is: itsQueue,
		does:   "That is what gunicorn asks for without --backlog.",
		source: "gunicorn settings backlog"},
	{program: "uvicorn", name: "uvicorn listen backlog", is: itsQueue,
		does:   "That is what uvicorn asks for without --backlog.",
		source: "uvicorn settings --backlog"},
	{program: "uvicorn", name: "uvicorn backlog", is: itsQueue, source: "uvicorn settings " +
		"--backlog"},
	{program: "uvicorn", name: "uvicorn limit_concurrency", is: itsConns, each: 1,
		does:   "Above it clients get status 503.",
		source: "uvicorn settings --limit-concurrency"},
	{program: "python", name: "listen backlog", is: itsQueue,
		source: "Python socket.socket.listen"},
	{program: "node", name: "node backlog", is: itsQueue, source: "node lib/net.js " +
		"Server.prototype.listen"},
	{program: "node", name: "node maxConnections", is: itsBounds,
		does:   "Bounds the connections of the server; it closes what is above.",
		source: "node lib/net.js onconnection"},
	{program: "node", name: "node listen backlog", is: itsQueue,
		does:   "Node asks for 511 where server.listen() is given no backlog.",
		source: "node lib/net.js Server.prototype.listen"},
}

func itemOf(program, name string) *item {
	for i := range items {
		if it := &items[i]; it.program == program && strings.EqualFold(it.name, name) {
			return it
		}
	}
	return nil
}

// program adds a setting of a program.
func (p *parser) program(program, name, value string) bool {
	it := itemOf(program, name)
	if value = p.unmasked(value); it == nil || value == "" {
		return false
	}
	p.add(setting{form: asProgram, key: name, value: value, subject: program, item: it})
	return true
}

// programItem takes what stands in YAML: of Envoy and the kubelet.
func (p *parser) programItem(key string, v *node) bool {
	if p.lang.isCode() && isValue(v.String()) && p.inCode(key, v) {
		return true
	}
	if p.under == "uwsgi" && isValue(v.String()) {
		p.goTo(v.row)
		return p.program("uwsgi", key, v.String())
	}
	for _, name := range []string{"envoy", "kubelet"} {
		if it := itemOf(name, key); it != nil && (p.lang == nil || p.lang == jsonText) &&
			(key != "max_connections" || p.under == "thresholds") {
			p.goTo(v.row)
			return p.program(name, it.name, v.String())
		}
	}
	return false
}

// wordFile is a configuration of a name and a value in each line.
type wordFile struct {
	program  string
	sections []string // those that count; nil where there are none
	anywhere bool     // # begins a comment anywhere
	prefix   string   // in front of the names
}

var (
	redis    = wordFile{program: "redis"}
	postgres = wordFile{program: "postgresql", anywhere: true}
	apache   = wordFile{program: "apache"}
	gunicorn = wordFile{program: "gunicorn", anywhere: true, prefix: "gunicorn "}
	uwsgi    = wordFile{program: "uwsgi", sections: []string{"uwsgi"}}
	mysql    = wordFile{program: "mysql", anywhere: true, sections: []string{"mysqld",
		"mariadb",
		"server", "mysqld_safe", "galera"}}
)

// words reads such a file.
func (p *parser) words(all *rows, f *wordFile) {
	inside, was := f.sections == nil, p.section
	defer func() { p.section = was }()
	p.section = ""
	all.rest = p.masked(all.rest)
	for all.more() {
		line := all.next()
		p.goTo(all.n)
		if f.program == "apache" && strings.HasSuffix(line, `\`) {
			line = flat(whole(line, all))
		}
		t := trim(line)
		if strings.HasPrefix(t, "[") && f.sections != nil {
			name, _, _ := strings.Cut(strings.Trim(t, "[]"), "-")
			inside = slices.Contains(f.sections, name)
			p.section = trim(t)
		}
		if f.program == "apache" && strings.HasPrefix(t, "<") {
			p.section = apacheBlock(p.section, t)
		}
		local := f.program == "gunicorn" && line != "" &&
			strings.IndexByte(blank, line[0]) >= 0 // of a function
		if t != "" && !isComment(t) && inside && !local {
			f.line(p, t)
		}
	}
}

// apacheBlock is the block after a line that opens or closes one; those around it count, too.
func apacheBlock(in, t string) string {
	switch {
	case strings.HasPrefix(t, "</"):
		return in[:max(strings.LastIndexByte(in, '\n'), 0)]
	case len(in) > 4*longestName: // nobody nests that deeply
		return in
	}
	return in + "\n" + t[:min(len(t), longestName)]
}

func (f *wordFile) line(p *parser, t string) {
	if f.anywhere {
		t, _, _ = strings.Cut(t, "#")
	}
	i := strings.IndexAny(t, "= \t")
	if i < 0 {
		return
	}
	name, value := t[:i], strings.Trim(trim(strings.TrimLeft(t[i:], "= \t")), `"'`)
	if f.sections != nil {
		name = strings.TrimPrefix(strings.ReplaceAll(name, "-", "_"), "loose_")
	}
	if strings.HasPrefix(strings.ToLower(strings.TrimLeft(name, "!")), "include") {
		p.includes(f.under(strings.ToLower(name), value), p.format)
	}
	if p.program(f.program, f.prefix+name, value) {
		last := &p.settings[len(p.settings)-1]
		if p.format.words == f { // in a page it is one example of several
			last.block = p.section + "]"
		}
		last.made = f.program == "gunicorn" && !isValue(value)
	}
}

// under is what an include means: of a directory, the files of it that are read.
func (f *wordFile) under(name, value string) string {
	switch {
	case name == "!includedir":
		return path.Join(value, "*.cnf")
	case name == "include_dir":
		return path.Join(value, "*.conf")
	}
	return value
}

// haproxy reads the file of HAProxy.
func (p *parser) haproxy(all *rows) {
	section := ""
	all.rest = p.masked(all.rest)
	for all.more() {
		line := all.next()
		p.goTo(all.n)
		words := serverconf.HaproxyWords(line)
		if len(words) == 0 {
			continue
		}
		switch first := words[0]; first {
		case "global", "defaults", "frontend", "backend", "listen", "peers", "resolvers",
			"cache", "userlist", "program", "ring", "mailers":
			section = first
		case "bind":
			p.haproxyPairs(words[1:], "")
		case "server", "default-server", "server-template":
			p.haproxyPairs(words[1:], "server ")
		default:
			if len(words) > 1 && section != "" {
				p.haproxyItem(first, words[1], "")
			}
		}
	}
}

func (p *parser) haproxyPairs(words []string, of string) {
	for i := 0; i+1 < len(words); i++ {
		p.haproxyItem(words[i], words[i+1], of)
	}
}

func (p *parser) haproxyItem(name, value, of string) {
	if name == "source" {
		if _, ports, ok := strings.Cut(value, ":"); !ok || !strings.Contains(ports, "-") {
			return
		}
	}
	if it := itemOf("haproxy", of+name); it != nil {
		p.add(setting{form: asProgram, key: name, value: p.unmasked(value),
			subject: "haproxy",
			item:    it})
		return
	}
	p.program("haproxy", name, value)
}

// nginx reads the file of nginx. What comes before a mistake is read.
func (p *parser) nginx(all *rows) {
	first := all.n
	_ = serverconf.Statements([]byte(p.masked(all.rest)),
		func(words []serverconf.Word, end byte) error {
			if end == ';' && len(words) > 1 {
				p.goTo(first + words[0].Row)
				p.nginxItem(words)
			}
			return nil
		})
	all.rest = ""
}

func (p *parser) nginxItem(words []serverconf.Word) {
	switch name := words[0].Text; name {
	case "listen":
		for _, w := range words[1:] {
			if value, ok := strings.CutPrefix(w.Text, "backlog="); ok {
				p.program("nginx", "backlog", value)
			}
		}
	case "include":
		if !strings.Contains(words[1].Text, "mime.types") {
			p.includes(words[1].Text, p.format)
		}
	default:
		p.program("nginx", name, words[1].Text)
	}
}
