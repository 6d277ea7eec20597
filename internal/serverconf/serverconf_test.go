package serverconf

import (
	"testing"
)

func TestNginx(t *testing.T) {
	for _, c := range []struct {
		file string
		want int64 // 0: unknown
	}{
		{"events { worker_connections 60; }\nhttp { server { listen 127.0.0.1:9100; } }\n", 60},
		{"user www-data;\ninclude /etc/nginx/modules-enabled/*.conf;\nevents {\n" +
			"\tworker_connections 768;\n\t# multi_accept on;\n}\nhttp {\n" +
			"\tinclude /etc/nginx/mime.types;\n}\n", 768},
		{"events {}\nhttp {}\n", 512},
		{"include conf.d/events;\nhttp {}\n", 0},      // there, perhaps
		{"events { include more; }\n", 0},             // there, perhaps
		{"http { include more; }\nevents { }\n", 512}, // not there
		{"events { worker_connections 60", 0},         // cut short
		{"events { worker_connections 60; } }", 0},    // one too many
		{"events { worker_connections ${N}; }\n", 0},  // a template
		{"events { worker_connections 60 70; }\n", 0}, //
		{"# events { worker_connections 60; }\n", 0},  // nothing at all
		{"log_format a 'x; worker_connections 5;';\nevents { worker_connections \"61\"; }\n", 61},
		{"http { worker_connections 5; }\nevents { worker_connections 62; }\n", 62},
		{"stream { events { worker_connections 5; } }\nevents { }\n", 512},
		{"", 0},
	} {
		got, err := Nginx([]byte(c.file))
		if got.Connections != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%q: %+v %v, want %d", c.file, got, err, c.want)
		}
	}
}

func TestHaproxy(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  int64
	}{
		{[]string{"global\n maxconn 100\nlisten a\n bind :80\n"}, 100},
		{[]string{"global\n maxconn 100\nfrontend a\n bind :80\n maxconn 10\n" +
			"frontend b\n bind :81\n maxconn 20\n"}, 30},
		{[]string{"global\n maxconn 100\ndefaults\n maxconn 7\nfrontend a\n bind :80\n"}, 7},
		{[]string{"frontend a\n bind :80\n maxconn 9 # few\nfrontend b\n bind :81\n"}, 0},
		{[]string{"frontend a\n bind :80\n maxconn 9\nbackend x\n server s 1.2.3.4:80 maxconn 3\n"}, 9},
		{[]string{"global\n maxconn 100\n", "frontend a\n maxconn 5\n"}, 5},
		{[]string{"global\n # maxconn 100\nlisten a\n bind :80\n"}, 0},
		{[]string{"global\n maxconn \"$MOST\"\n"}, 0},
		{[]string{".if defined(X)\nglobal\n maxconn 5\n.endif\n"}, 0},
		{[]string{""}, 0},
	} {
		var files [][]byte
		for _, f := range c.files {
			files = append(files, []byte(f))
		}
		got, err := Haproxy(files...)
		if got.Connections != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%q: %+v %v, want %d", c.files, got, err, c.want)
		}
	}
}

// FuzzNginx and FuzzHaproxy: no file gives a figure out of range, and none takes long.
func FuzzNginx(f *testing.F) {
	f.Add([]byte("events { worker_connections 60; }\n# x\nhttp { log_format a 'b;${c}'; }\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Nginx(b)
		if (l.Connections > 0) != (err == nil) {
			t.Fatalf("%+v %v", l, err)
		}
	})
}

func FuzzHaproxy(f *testing.F) {
	f.Add([]byte("global\n maxconn 100\nfrontend \"a b\"\n bind :80\\ x\n maxconn 10 # y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Haproxy(b)
		if (l.Connections > 0) != (err == nil) {
			t.Fatalf("%+v %v", l, err)
		}
	})
}
