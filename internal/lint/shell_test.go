package lint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each setting of a script has the row where it stands, and what is in no command sets nothing.
func TestScripts(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"quotes": {`sysctl -w net.core.somaxconn='1'"2"\3`, []string{"1 net.core.somaxconn=123"}},
		"continued": {"sysctl -w \\\n  net.core.somaxconn=1 \\\n  net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"docker": {"docker run \\\n --sysctl net.core.somaxconn=1 \\\n --ulimit nofile=5:6 x",
			[]string{"2 net.core.somaxconn=1", "3 nofile=5:6"}},
		"here document": {"cat > /etc/sysctl.d/a.conf <<EOF\n# x\nnet.core.somaxconn = 1\nEOF\nsysctl -w net.core.rmem_max=2",
			[]string{"3 net.core.somaxconn=1", "5 net.core.rmem_max=2"}},
		"here document, joined": {"cat > /etc/sysctl.d/a.conf <<EOF\nnet.ipv4.tcp_mem = 1 \\\n2 3\nnet.core.somaxconn=1\nEOF\n",
			[]string{"2 net.ipv4.tcp_mem=1 2 3", "4 net.core.somaxconn=1"}},
		"here document without end": {"cat > /etc/sysctl.d/a.conf <<EOF\nnet.core.somaxconn = 1\nnet.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"here document, end indented": {"  cat > /etc/sysctl.d/a.conf <<EOF\n  net.core.somaxconn = 1\n  EOF\n  sysctl -w net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "4 net.core.rmem_max=2"}},
		"here document for a shell": {"ssh a sh <<EOF\nif true; then\n  sysctl -w \\\n   net.core.somaxconn=1\nfi\nEOF\n",
			[]string{"4 net.core.somaxconn=1"}},
		"group": {"{ echo net.core.somaxconn=1\n echo net.core.rmem_max=2; } >> /etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "2 net.core.rmem_max=2"}},
		"subshell into tee": {"(echo net.core.somaxconn=1; echo net.core.rmem_max=2) | sudo tee -a /etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"string over lines": {"echo \"net.core.somaxconn=1\nnet.core.rmem_max=2\" >> /etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "2 net.core.rmem_max=2"}},
		"written newlines": {`echo -e "net.core.somaxconn=1\nnet.core.rmem_max=2" >> /etc/sysctl.conf`,
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"printf over lines": {"printf '%s\\n' \\\n net.core.somaxconn=1 \\\n net.core.rmem_max=2 > /etc/sysctl.conf",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"shell over lines": {"sh -c '\n sysctl -w net.core.somaxconn=1\n if a; then ulimit -n 5; fi\n'",
			[]string{"2 net.core.somaxconn=1", "3 ulimit -n=5"}},
		"variable over lines": {"CONF='\nnet.core.somaxconn=1\n'\n", []string{"2 net.core.somaxconn=1"}},
		"array": {"A=(\n \"net.core.somaxconn=1\"\n net.core.rmem_max=2\n)\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"table": {"declare -A T=(\n [net.core.somaxconn]=1\n [\"net.core.rmem_max\"]=2\n)\nT['net.ipv4.tcp_mem']=4\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2", "5 net.ipv4.tcp_mem=4"}},
		"function": {"tune() {\n  case $1 in\n  a) sysctl -w net.core.somaxconn=1 ;;\n  esac\n}\n",
			[]string{"3 net.core.somaxconn=1"}},
		"substitution": {"x=$(sysctl -w net.core.somaxconn=1)\n", []string{"1 net.core.somaxconn=1"}},
		"redirected into proc": {"echo 1 >/proc/sys/net/core/somaxconn 2>&1 || true",
			[]string{"1 net.core.somaxconn=1"}},
		"errors only":      {"echo net.core.somaxconn=1 2>> /etc/sysctl.conf", nil},
		"thrown away":      {"{ echo net.core.somaxconn=1 > /dev/null; } >> /etc/sysctl.conf", nil},
		"part of a branch": {"then sysctl -w net.core.somaxconn=1\nfi\n", []string{"1 net.core.somaxconn=1"}},
		"open quote":       {"sh -c 'sysctl -w net.core.somaxconn=1\n", []string{"1 net.core.somaxconn=1"}},
		"apostrophes": {"Don't do this:\nnet.core.somaxconn = 1\nsysctl -w net.core.rmem_max=2\nit's bad\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"in parentheses": {"Try sysctl -w net.core.somaxconn=1 (see below) and 'more\n",
			[]string{"1 net.core.somaxconn=1"}},
		"template": {"{{ if x }}\nsysctl -w net.core.somaxconn=1\n{{ end }}\nif a; then {% x %}\n sysctl -w \\\n net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "6 net.core.rmem_max=2"}},
		"comment": {"# sysctl -w net.core.somaxconn=1\ntrue # sysctl -w net.core.somaxconn=1\n", nil},
	} {
		if d := cmp.Diff(c.want, rowsOfSettings("x.sh", c.text)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// rowsOfSettings are row, key and value of each setting.
func rowsOfSettings(name, text string) (out []string) {
	for _, l := range Lint([]File{{Name: name, Text: []byte(text)}}, Target{Kernel: "6.12"}).Lines {
		out = append(out, fmt.Sprintf("%d %s=%s", l.Line, l.Key, strings.Join(strings.Fields(l.Value), " ")))
	}
	return out
}
