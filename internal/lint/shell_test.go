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
		"quotes": {`sysctl -w net.core.somaxconn='1'"2"\3`,
			[]string{"1 net.core.somaxconn=123"}},
		"continued": {"sysctl -w \\\n  net.core.somaxconn=1 \\\n  net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"docker": {"docker run \\\n --sysctl net.core.somaxconn=1 \\\n --ulimit " +
			"nofile=5:6 x",
			[]string{"2 net.core.somaxconn=1", "3 nofile=5:6"}},
		"here document": {"cat > /etc/sysctl.d/a.conf <<EOF\n# x\nnet.core.somaxconn = " +
			"1\nEOF\n" +
			"sysctl -w net.core.rmem_max=2",
			[]string{"3 net.core.somaxconn=1", "5 net.core.rmem_max=2"}},
		"here document, joined": {
			"cat > /etc/sysctl.d/a.conf <<EOF\nnet.ipv4.tcp_mem = 1 \\\n2 3\n" +
				"net.core.somaxconn=1\nEOF\n",
			[]string{"2 net.ipv4.tcp_mem=1 2 3", "4 net.core.somaxconn=1"}},
		"here document without end": {"cat > /etc/sysctl.d/a.conf " +
			"<<EOF\nnet.core.somaxconn = 1\n" +
			"net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"here document, end indented": {
			"  cat > /etc/sysctl.d/a.conf <<EOF\n  net.core.somaxconn = 1\n  EOF\n" +
				"  sysctl -w net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "4 net.core.rmem_max=2"}},
		"here document for a shell": {
			"ssh a sh <<EOF\nif true; then\n  sysctl -w \\\n   " +
				"net.core.somaxconn=1\nfi\n" +
				"EOF\n",
			[]string{"4 net.core.somaxconn=1"}},
		"group": {"{ echo net.core.somaxconn=1\n echo net.core.rmem_max=2; } >> " +
			"/etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "2 net.core.rmem_max=2"}},
		"subshell into tee": {
			"(echo net.core.somaxconn=1; echo net.core.rmem_max=2) | sudo tee -a " +
				"/etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"string over lines": {
			"echo \"net.core.somaxconn=1\nnet.core.rmem_max=2\" >> /etc/sysctl.conf",
			[]string{"1 net.core.somaxconn=1", "2 net.core.rmem_max=2"}},
		"written newlines": {
			`echo -e "net.core.somaxconn=1\nnet.core.rmem_max=2" >> /etc/sysctl.conf`,
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"printf over lines": {"printf '%s\\n' \\\n net.core.somaxconn=1 \\\n" +
			" net.core.rmem_max=2 > /etc/sysctl.conf",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"shell over lines": {
			"sh -c '\n sysctl -w net.core.somaxconn=1\n if a; then ulimit -n 5; fi\n'",
			[]string{"2 net.core.somaxconn=1", "3 ulimit -n=5"}},
		"variable over lines": {"CONF='\nnet.core.somaxconn=1\n'\n",
			[]string{"2 net.core.somaxconn=1"}},
		"array": {"A=(\n \"net.core.somaxconn=1\"\n net.core.rmem_max=2\n)\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"table": {"declare -A T=(\n [net.core.somaxconn]=1\n " +
			"[\"net.core.rmem_max\"]=2\n)\n" +
			"T['net.ipv4.tcp_mem']=4\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2",
				"5 net.ipv4.tcp_mem=4"}},
		"function": {"tune() {\n  case $1 in\n  a) sysctl -w net.core.somaxconn=1 ;;\n " +
			" esac\n}\n",
			[]string{"3 net.core.somaxconn=1"}},
		"substitution": {"x=$(sysctl -w net.core.somaxconn=1)\n",
			[]string{"1 net.core.somaxconn=1"}},
		"code in prose": {
			"Run\n`ulimit -n 2048` here, or `sysctl -w net.core.somaxconn=1`.\n", nil},
		"redirected into proc": {"echo 1 >/proc/sys/net/core/somaxconn 2>&1 || true",
			[]string{"1 net.core.somaxconn=1"}},
		"errors only": {"echo net.core.somaxconn=1 2>> /etc/sysctl.conf", nil},
		"thrown away": {"{ echo net.core.somaxconn=1 > /dev/null; } >> /etc/sysctl.conf",
			nil},
		"part of a branch": {"then sysctl -w net.core.somaxconn=1\nfi\n",
			[]string{"1 net.core.somaxconn=1"}},
		"open quote": {"sh -c 'sysctl -w net.core.somaxconn=1\n",
			[]string{"1 net.core.somaxconn=1"}},
		"apostrophes": {"Don't do this:\nnet.core.somaxconn = 1\nsysctl -w " +
			"net.core.rmem_max=2\n" +
			"it's bad\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"in parentheses": {"Try sysctl -w net.core.somaxconn=1 (see below) and 'more\n",
			[]string{"1 net.core.somaxconn=1"}},
		"template": {"{{ if x }}\nsysctl -w net.core.somaxconn=1\n{{ end }}\nif a; " +
			"then {% x %}\n" +
			" sysctl -w \\\n net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "6 net.core.rmem_max=2"}},
		"comment": {"# sysctl -w net.core.somaxconn=1\ntrue # sysctl -w " +
			"net.core.somaxconn=1\n",
			nil},
	} {
		if d := cmp.Diff(c.want, rowsOfSettings("x.sh", c.text)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// rowsOfSettings are row, key and value of each setting.
func rowsOfSettings(name, text string) (out []string) {
	r := Lint([]File{{Name: name, Text: []byte(text)}}, Target{Kernel: "6.12"})
	for _, l := range r.Lines {
		value := strings.Join(strings.Fields(l.Value), " ")
		out = append(out, fmt.Sprintf("%d %s=%s", l.Line, l.Key, value))
	}
	return out
}

// YAML is read as what it means: a name belongs to the value beside it, and a string that is a
// script, a file or YAML again is read as such.
func TestYAML(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"flow": {"sysctls: {net.core.somaxconn: 1, net.core.rmem_max: 2}\n" +
			"ulimits: {nofile: {soft: 3, hard: 4}, nproc: 5}\n",
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2", "2 nofile=3",
				"2 nofile=4", "2 nproc=5"}},
		"list of strings": {`sysctls: ["net.core.somaxconn=1", 'net.core.rmem_max=2']`,
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"names do not leak": {
			"- name: net.core.somaxconn\n- value: 1\n- name: net.core.rmem_max\n" +
				"  other: 3\n- name: x\n  value: 4\n",
			nil},
		"fields in any order": {"- value: 1\n  state: present\n  name: " +
			"net.core.somaxconn\n",
			[]string{"3 net.core.somaxconn=1"}},
		"pam_limits": {
			"- pam_limits:\n    domain: '*'\n    limit_type: soft\n    limit_item: " +
				"nofile\n" +
				"    value: 5\n",
			[]string{"5 nofile=5"}},
		"several keys of JSON on a " +
			"line": {`{"net.core.somaxconn": 1, "net.core.rmem_max": "2"}`,
			[]string{"1 net.core.somaxconn=1", "1 net.core.rmem_max=2"}},
		"JSON with a script": {
			"{\"a\": 1,\n\"run\": \"set -e\\nsysctl -w net.core.somaxconn=1\\nif " +
				"a; then\\n" +
				" sysctl -w net.core.rmem_max=2\\nfi\\n\"}",
			[]string{"2 net.core.somaxconn=1", "2 net.core.rmem_max=2"}},
		"block": {"run: |\n  set -e\n  sysctl -w \\\n    net.core.somaxconn=1\n" +
			"  cat > /etc/sysctl.d/a.conf <<EOF\n  net.core.rmem_max = 2\n  EOF\n",
			[]string{"4 net.core.somaxconn=1", "6 net.core.rmem_max=2"}},
		"block of limits": {"content: |\n  * soft nofile 5\n  [Service]\n  LimitNOFILE=6\n",
			[]string{"2 nofile=5", "4 LimitNOFILE=6"}},
		"block of YAML": {"data: |\n  sysctls:\n  - name: net.core.somaxconn\n    " +
			"value: \"1\"\n",
			[]string{"4 net.core.somaxconn=1"}},
		"folded": {"run: >\n  sysctl -w net.core.somaxconn=1\n  net.core.rmem_max=2\n",
			[]string{"2 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
		"several documents": {"a: 1\n---\nnet.core.somaxconn: " +
			"1\n...\n---\nnet.core.rmem_max: 2\n",
			[]string{"3 net.core.somaxconn=1", "6 net.core.rmem_max=2"}},
		"command in a block list": {"command:\n- sysctl\n- -w\n- net.core.somaxconn=1\n",
			[]string{"4 net.core.somaxconn=1"}},
		"titles": {"- name: set sysctl net.core.somaxconn = 1\n" +
			"  description: run sysctl -w net.core.somaxconn=1\n",
			nil},
		"comments": {"a: 1 # net.core.somaxconn: 1\n# net.core.rmem_max: 2\n", nil},
		"template": {
			"{{- if .Values.tune }}\nsysctls:\n- name: net.core.somaxconn\n  " +
				"value: \"1\"\n" +
				"{{- end }}\nnet.core.rmem_max: {{ .Values.rmem " +
				"}}\nnet.core.wmem_max: 3\n",
			[]string{"4 net.core.somaxconn=1", "6 net.core.rmem_max={{ .Values.rmem }}",
				"7 net.core.wmem_max=3"}},
		"one part that does not parse": {
			"a:\n  sysctls:\n    net.core.somaxconn: 1\n    - " +
				"net.core.rmem_max=2\n  b:\n" +
				"  - name: net.core.wmem_max\n    value: 3\n",
			[]string{"3 net.core.somaxconn=1", "4 net.core.rmem_max=2",
				"7 net.core.wmem_max=3"}},
		"CRLF": {"net.core.somaxconn: 1\r\nrun: |\r\n  sysctl -w net.core.rmem_max=2\r\n",
			[]string{"1 net.core.somaxconn=1", "3 net.core.rmem_max=2"}},
	} {
		if d := cmp.Diff(c.want, rowsOfSettings("x.yaml", c.text)); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}
