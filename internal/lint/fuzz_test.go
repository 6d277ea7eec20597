package lint

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/spent"
)

// FuzzLint feeds anything that may be called a tuning file: it never crashes, every line
// has a verdict with a reason, two runs agree, and a report is JSON. The seeds are the
// files of testdata.
func FuzzLint(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	corpus, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(archives, corpus...) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range txtar.Parse(text).Files {
			f.Add(p.Name, p.Data, "6.1", "sysctl net.core.somaxconn = 4096")
		}
	}
	for _, text := range []string{bom + "a=1\r\n", "\x00", "cat <<E\nnet.core.somaxconn=1",
		"sudo", "echo", "sysctl -w =", "- =", "=", "net. = 1", "net.core.[ = 1",
		"options nf_conntrack x", "ip netns exec a"} {
		f.Add("x", []byte(text), "4.4", "system scope = child")
		f.Add("etc/sysctl.d/10-x.conf", []byte(text), "", "link eth0 = qdisc=fq")
	}
	f.Fuzz(func(t *testing.T, name string, text []byte, kernel, facts string) {
		target := Target{Kernel: kernel, Boot: len(text)%2 == 0}
		if s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "\nend\n")); err ==
			nil {
			target.Snapshot = s
			if len(facts)%2 == 0 {
				target.Kernel = ""
			}
		}
		files := []File{{Name: name, Text: text},
			{Name: "etc/sysctl.d/50-y.conf", Text: []byte("net.core.somaxconn = 1\n")}}
		var r Report
		spent.Within(t, len(text)+len(facts), func() { r = Lint(files, target) })
		all := 1 + bytes.Count(text, []byte("\n"))
		for _, l := range r.Lines {
			checkLine(t, l, all)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		if shown(r) != shown(Lint(files, target)) {
			t.Fatal("two runs differ")
		}
		if len(r.Brief().Lines)+r.Brief().Skipped != len(r.Lines) {
			t.Fatal("lines are lost")
		}
	})
}

// FuzzReaders feeds each reader by itself, without the judgement, which takes most of the time.
func FuzzReaders(f *testing.F) {
	corpus, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range corpus {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i, p := range a.Files {
			f.Add(uint8(i), p.Data)
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, text []byte) {
		if notText(text) {
			return
		}
		p := &parser{format: formats[int(n)%len(formats)]}
		spent.Within(t, len(text), func() {
			all, _ := rowsOf(text)
			p.readAll(p.format, all)
		})
		most := 1 + bytes.Count(text, []byte("\n"))
		for _, s := range p.settings {
			if s.row < 1 || s.row > most {
				t.Errorf("%s: row %d of %d: %s", p.format.name, s.row, most, s.key)
			}
		}
	})
}
