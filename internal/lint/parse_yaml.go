package lint

import (
	"io"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/maxconn/maxconn/internal/knob"
)

// What is given to the parser of package yaml.
const (
	largestTree = 1 << 20
	mostTree    = 3 << 20 // bytes of a file; what is read again in parts counts again
	costOfParse = 64      // of a short text, in bytes
)

var tooMuchTree = Note{NoEffect, "From here on nothing is judged: the file has more than 3 MiB " +
	"of YAML.", ""}

// yaml reads YAML and JSON. What does not parse is read in parts: first the blocks that are
// indented least, then what is in these, and at last the lines.
func (p *parser) yaml(text string, row int) {
	if p.tree > mostTree {
		if p.tree < 2*mostTree {
			p.row = row
			p.add(stray("", "", tooMuchTree))
			p.tree = 2 * mostTree
		}
		return
	}
	if p.documents(text, row, false) {
		return
	}
	p.tree += len(text) / 8
	head, blocks := blocksOf(text)
	if len(blocks) == 0 {
		p.row = row
		p.lastLine(trim(head))
		return
	}
	if head != "" {
		p.yaml(head, row)
		row++
	}
	for _, b := range blocks {
		p.yaml(b, row)
		row += strings.Count(b, "\n")
	}
}

// lastLine reads a line by itself.
func (p *parser) lastLine(text string) {
	if len(text) > longestLine {
		p.add(stray("", "", tooLong))
		return
	}
	p.treeLine(text)
}

// blocksOf takes a text apart where a line is indented no more than the first. If that is so of no
// line, head is the first line and the blocks are those of the others.
func blocksOf(text string) (head string, blocks []string) {
	least, from := -1, 0
	at := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		in := len(line) - len(strings.TrimLeft(line, " \t"))
		if strings.TrimSpace(line) != "" {
			if least >= 0 && in <= least {
				blocks = append(blocks, text[from:at])
				from = at
			}
			if least < 0 || in < least {
				least = in
			}
		}
		at += len(line)
	}
	if len(blocks) > 0 {
		return "", append(blocks, text[from:])
	}
	head, rest, _ := strings.Cut(text, "\n")
	if trim(strings.ReplaceAll(rest, "\n", "")) == "" {
		return head, nil
	}
	return head + "\n", []string{rest}
}

// yamlText is a text that parses.
type yamlText struct {
	*parser
	rows  []string
	first int // the row of the first of them
}

// documents reads a text that parses; with nested, one that is more than a string.
func (p *parser) documents(text string, row int, nested bool) (ok bool) {
	if len(text) > largestTree {
		return false
	}
	p.tree += len(text) + costOfParse
	t := &yamlText{p, strings.Split(text, "\n"), row}
	var all []*yaml.Node
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		n := &yaml.Node{}
		if err := d.Decode(n); err == io.EOF {
			break
		} else if err != nil {
			return false
		}
		if all = append(all, n.Content...); nested && n.Content[0].Kind == yaml.ScalarNode {
			return false
		}
	}
	for _, n := range all {
		t.node(n, "")
	}
	return true
}

// node reads what stands under a name.
func (t *yamlText) node(n *yaml.Node, name string) {
	switch n.Kind {
	case yaml.MappingNode:
		t.mapping(n)
	case yaml.SequenceNode:
		if !t.commandList(n, name) {
			for _, c := range n.Content {
				t.node(c, "")
			}
		}
	case yaml.ScalarNode:
		t.scalar(t.word(n))
	}
}

func (t *yamlText) rowOf(n *yaml.Node) int { return t.first + n.Line - 1 }

// prose are names of what people read.
var prose = []string{"name", "description", "summary", "msg"}

func (t *yamlText) mapping(n *yaml.Node) {
	value := t.item(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		t.row = t.rowOf(k)
		switch {
		case v == value || v.Kind == yaml.ScalarNode && slices.Contains(prose, k.Value):
		case k.Value == "ulimits" && v.Kind == yaml.MappingNode:
			t.ulimits(v)
		case looksLikeKey(k.Value) && t.value(v) != "":
			t.add(setting{form: asConf, key: knob.Key(k.Value), value: t.value(v)})
		default:
			t.node(v, k.Value)
		}
	}
}

// item takes a sysctl whose name and value stand apart, or the fields of ansible's pam_limits. The
// value is taken with it.
func (t *yamlText) item(n *yaml.Node) (value *yaml.Node) {
	have := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; t.value(v) != "" {
			have[n.Content[i].Value] = v
		}
	}
	if value = have["value"]; value == nil {
		return nil
	}
	for _, field := range []string{"name", "key", "namespace"} {
		name := have[field]
		if name == nil || !looksLikeKey(firstWord(name.Value)) {
			continue
		}
		t.row = max(t.rowOf(name), t.rowOf(value))
		t.add(setting{form: asConf, key: knob.Key(firstWord(name.Value)),
			value: t.value(value)})
		return value
	}
	var fields []string
	for _, field := range []string{"domain", "limit_type", "limit_item", "value"} {
		if have[field] == nil {
			return nil
		}
		fields = append(fields, have[field].Value)
		t.row = t.rowOf(have[field])
	}
	t.limitsLine(strings.Join(fields, " "))
	return value
}

// value is a string, or the {{ }} of a template, which YAML takes for a mapping.
func (t *yamlText) value(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return trim(t.word(n).String())
	}
	if n.Kind == yaml.MappingNode && n.Line <= len(t.rows) {
		if _, rest, ok := strings.Cut(t.rows[n.Line-1], "{{"); ok {
			return trim("{{" + rest)
		}
	}
	return ""
}

// ulimits takes those of a container: "nofile: 65536", or soft and hard below it.
func (t *yamlText) ulimits(n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Value != "nofile" && k.Value != "nproc" {
			continue
		}
		if v.Kind == yaml.ScalarNode && v.Value != "" {
			t.row = t.rowOf(k)
			t.add(setting{form: asContainer, key: k.Value, value: t.word(v).String()})
			continue
		}
		for j := 0; j+1 < len(v.Content) && v.Kind == yaml.MappingNode; j += 2 {
			which, value := v.Content[j], t.word(v.Content[j+1]).String()
			if which.Value == "soft" || which.Value == "hard" {
				t.row = t.rowOf(which)
				t.add(setting{form: asContainer, key: k.Value, value: value,
					subject: which.Value})
			}
		}
	}
}

// commandNames are names of lists that are one command.
var commandNames = []string{"command", "args", "cmd", "entrypoint", "argv", "exec"}

// commandList takes a command as a list: [sysctl, -w, net.core.somaxconn=1024].
func (t *yamlText) commandList(n *yaml.Node, name string) (found bool) {
	var words []word
	known := false
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
		w := t.word(c)
		known = known || path.Base(w.text) == "sysctl" || runsSysctl(w.text)
		words = append(words, w)
	}
	flow := n.Style&yaml.FlowStyle != 0
	if !known || !flow && !slices.Contains(commandNames, strings.ToLower(name)) {
		return false
	}
	first := len(t.settings)
	t.row = t.rowOf(n)
	t.command(words, nil)
	return len(t.settings) > first
}

func runsSysctl(text string) bool {
	return strings.Contains(text, "sysctl ") || strings.Contains(text, "/proc/sys/") ||
		strings.Contains(text, "ulimit ")
}

// scalar takes a string: a setting, a command, a script, or a file.
func (t *yamlText) scalar(w word) {
	text := w.String()
	t.row = w.row
	switch {
	case strings.Contains(text, "\n"):
		t.block(w)
	case t.pamLimit(text) || t.moduleItems(text) || t.assignment(text):
	case runsSysctl(text):
		t.commands(w)
	default:
		t.embedded(text)
	}
}

// block takes a string of several lines. It may be YAML again.
func (t *yamlText) block(w word) {
	first := len(t.settings)
	t.inside(w, func() { t.documents(w.text, w.row, true) })
	if len(t.settings) == first {
		t.nested(w)
	}
}

// word is a string with the rows of its lines.
func (t *yamlText) word(n *yaml.Node) word {
	text := strings.ReplaceAll(n.Value, "\x00", "")
	row := t.rowOf(n)
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return word{strings.TrimRight(text, "\n"), row + 1}
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return word{strings.ReplaceAll(text, "\n", "\n"+written), row}
	case n.Line > len(t.rows) || strings.Contains(t.rows[n.Line-1], text):
		return word{text, row}
	}
	return t.unfolded(n, text)
}

// unfolded finds the rows of a string whose lines are made one.
func (t *yamlText) unfolded(n *yaml.Node, text string) word {
	at := n.Line - 1
	rest := t.rows[at]
	var out printout
	for i, field := range strings.Fields(text) {
		here := strings.Index(rest, field)
		for next := at + 1; here < 0 && next < len(t.rows) && next < at+3; next++ {
			if here = strings.Index(t.rows[next], field); here >= 0 {
				at, rest = next, t.rows[next]
			}
		}
		if here >= 0 {
			rest = rest[here+len(field):]
		}
		if i > 0 {
			out.text.WriteByte(' ')
		}
		out.add(word{field, t.first + at})
	}
	return out.word()
}
