package lint

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a file includes is read in the format of what includes it where it is among the files of
// the run, or may be read; what is not is reported, and the report is not clean.
func TestIncludes(t *testing.T) {
	for name, c := range map[string]struct {
		files string // NAME:TEXT, one after the other
		below string // those that nobody named, but that may be read
		want  []string
	}{
		"a snippet of nginx that is given": {
			"a/nginx.conf:include snippets/*.inc;|" +
				"a/snippets/one.inc:listen 80 backlog=512;",
			"", []string{"a/snippets/one.inc 1 backlog 512",
				"included a/snippets/one.inc"}},
		"an absolute path below a root": {
			"r/etc/nginx/nginx.conf:include /etc/nginx/conf.d/x;|" +
				"r/etc/nginx/conf.d/x:events { worker_connections 1; }",
			"", []string{"r/etc/nginx/conf.d/x 1 worker_connections 1",
				"included r/etc/nginx/conf.d/x"}},
		"a directory that is a copy": {
			"nginx/nginx.conf:include /etc/nginx/conf.d/x;|" +
				"nginx/conf.d/x:worker_rlimit_nofile 1024;",
			"", []string{"nginx/conf.d/x 1 worker_rlimit_nofile 1024",
				"included nginx/conf.d/x"}},
		"below what was given": {"a/nginx.conf:include x;", "a/x:listen 80 backlog=1;",
			[]string{"a/x 1 backlog 1", "included a/x"}},
		"an include of an include": {"a/nginx.conf:include b/x;",
			"a/b/x:include y;|a/y:listen 80 backlog=1;",
			[]string{"a/y 1 backlog 1", "included a/y"}},
		"outside": {"a/nginx.conf:include ../b/x;", "b/y:listen 80 backlog=1;",
			[]string{"refers it includes ../b/x"}},
		"itself": {"a/nginx.conf:include nginx.conf; worker_connections 5;", "",
			[]string{"a/nginx.conf 1 worker_connections 5"}},
		"each other": {"a/nginx.conf:include x.conf;|a/x.conf:include nginx.conf;", "",
			[]string{"included a/nginx.conf", "included a/x.conf"}},
		"MySQL": {"etc/mysql/my.cnf:[mysqld]\n!includedir conf.d\n!include x.inc|" +
			"etc/mysql/conf.d/a.cnf:[mysqld]\nmax_connections=5", "",
			[]string{"etc/mysql/conf.d/a.cnf 2 max_connections 5",
				"included etc/mysql/conf.d/a.cnf", "refers it includes x.inc"}},
		"Redis": {"redis.conf:include local|local:maxclients 5", "",
			[]string{"local 1 maxclients 5", "included local"}},
		"PostgreSQL": {"postgresql.conf:include_dir 'conf.d'|" +
			"conf.d/a.conf:max_connections = 5", "", []string{
			"conf.d/a.conf 1 max_connections 5", "included conf.d/a.conf"}},
		"Apache": {"apache2.conf:IncludeOptional x/*.load|x/a.load:ListenBacklog 5", "",
			[]string{"x/a.load 1 ListenBacklog 5", "included x/a.load"}},
		"TuneD": {"t/mine/tuned.conf:[main]\ninclude=base,other|" +
			"t/base/tuned.conf:[sysctl]\nnet.core.somaxconn=5", "",
			[]string{"t/base/tuned.conf 2 net.core.somaxconn 5",
				"included t/base/tuned.conf",
				"refers it includes ../other/tuned.conf"}},
		"sysctl -p": {"run.sh:C=conf/tune\nsysctl -p $C\nsysctl -p conf/none|" +
			"conf/tune:net.core.somaxconn = 5", "",
			[]string{"conf/tune 1 net.core.somaxconn 5", "included conf/tune",
				"refers it loads conf/none"}},
		"sysctl -p of what is written": {
			"run.sh:echo net.core.somaxconn=5 > /etc/x\n" +
				"sysctl -p /etc/x\nsysctl -p", "",
			[]string{"run.sh 1 net.core.somaxconn 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			target := Target{Kernel: "6.12"}
			target.Include = func(pattern string) (out []File) {
				for _, f := range filesOf(c.below) {
					if ok, _ := path.Match(pattern, f.Name); ok {
						out = append(out, f)
					}
				}
				return out
			}
			r := Lint(filesOf(c.files), target)
			if d := cmp.Diff(c.want, told(r)); d != "" {
				t.Errorf("%s", d)
			}
			if strings.Contains(fmt.Sprint(c.want), "refers") && r.Whole() {
				t.Error("what was not read is clean")
			}
		})
	}
}

func filesOf(text string) (files []File) {
	for one := range strings.SplitSeq(text, "|") {
		if name, content, ok := strings.Cut(one, ":"); ok {
			files = append(files, File{Name: name, Text: []byte(content)})
		}
	}
	return files
}

// told are the settings of a report, then what was included, and what was not read.
func told(r Report) (all []string) {
	for _, l := range r.Lines {
		all = append(all, fmt.Sprint(l.File, " ", l.Line, " ", l.Key, " ", l.Value))
	}
	for _, f := range r.Read {
		if f.IncludedBy != "" {
			all = append(all, "included "+f.File)
		}
	}
	for _, f := range r.Read {
		for _, u := range f.Refers {
			all = append(all, "refers "+u.What)
		}
	}
	return all
}

// What a file includes stands in the row of the include; a profile of TuneD goes over what it
// includes.
func TestIncludedOrder(t *testing.T) {
	for name, c := range map[string]struct {
		files string
		want  []string
	}{
		"Redis": {"redis.conf:maxclients 1\ninclude x\ntcp-backlog 5|" +
			"x:maxclients 2\ntcp-backlog 6",
			[]string{"redis.conf 1 overridden", "redis.conf 3 effective",
				"x 1 effective", "x 2 overridden"}},
		"twice down": {"redis.conf:include x\nmaxclients 1|" +
			"x:include y\nmaxclients 2|y:maxclients 3",
			[]string{"redis.conf 2 effective", "x 2 overridden", "y 1 overridden"}},
		"MySQL": {"my.cnf:[mysqld]\nmax_connections=1\n!include x.cnf|" +
			"x.cnf:[mysqld]\nmax_connections=2\n[mysqld-8.0]\nmax_connections=3",
			[]string{"my.cnf 2 overridden", "x.cnf 2 effective",
				"x.cnf 4 effective"}},
		"TuneD": {"t/mine/tuned.conf:[sysctl]\nnet.core.somaxconn=5000\n" +
			"[main]\ninclude=base|t/base/tuned.conf:[sysctl]\nnet.core.somaxconn=5001",
			[]string{"t/mine/tuned.conf 2 effective",
				"t/base/tuned.conf 2 overridden"}},
		"apart": {"a/redis.conf:maxclients 1|b/redis.conf:maxclients 2",
			[]string{"a/redis.conf 1 effective", "b/redis.conf 1 effective"}},
	} {
		var have []string
		for _, l := range Lint(filesOf(c.files), Target{Kernel: "6.12"}).Lines {
			have = append(have, fmt.Sprint(l.File, " ", l.Line, " ", l.Verdict))
		}
		if d := cmp.Diff(c.want, have); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
