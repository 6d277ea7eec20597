package lint

import (
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What is given to the parser of package yaml.
const (
	largestTree = 1 << 20
	mostTree    = 3 << 20 // bytes of a file; what is read again in parts counts again
	costOfParse = 64      // of a short text, in bytes
	mostNodes   = 200_000 // of a file, where aliases repeat them
)

var tooMuchTree = Note{NoEffect, "From here on nothing is judged: the file has more than 3 MiB " +
	"of YAML.", ""}

// yamlFile reads YAML.
func (p *parser) yamlFile(all *rows) {
	row := all.n + 1
	p.role = shellRole
	text := p.masked(strings.ReplaceAll(all.rest, "\r\n", "\n"))
	all.rest = ""
	switch {
	case p.tree > mostTree:
		p.yaml(text, row) // says so
		return
	case p.documents(text, row, false):
		return
	}
	if p.depth == 0 && len(text) <= largestTree && len(p.masks) == 0 && !p.branches {
		p.goTo(row)
		p.notRead("it is not valid YAML: its parts are read one by one, and what they " +
			"belong to may be lost")
	}
	p.parts(text, row)
}

var (
	control   = regexp.MustCompile(`\{%.*?%\}|\{#.*?#\}`)
	expansion = regexp.MustCompile(`\{\{.*?\}\}|<%=.*?%>`)
	maskedOut = regexp.MustCompile("\ue000([0-9]+)\ue001")
	erb       = regexp.MustCompile(`<%[^=].*?%>`)
)

// A conditional inside of a line, with its ends and what parts its branches.
var (
	inlineIf = regexp.MustCompile(`\{%-?\s*(?:if|for)\b.*?\{%-?\s*end(?:if|for)\b.*?%\}|` +
		`<%-?\s*(?:if|unless)\b.*?<%-?\s*end\s*-?%>`)
	inlineElse = regexp.MustCompile(`\{%-?\s*el.*?%\}|<%-?\s*els.*?%>`)
	oneValue   = regexp.MustCompile(`^(?:[\d \t-]*|[\w."'-]*)$`)
)

// chosen puts a mark for what a conditional inside of a line gives where that is part of a value:
// which of its branches is taken is not known. Other branches become words of the line.
func (p *parser) chosen(line string) string {
	if p.chosenLines == 0 && !strings.Contains(line, "{%") && !strings.Contains(line, "<%") {
		return line
	}
	whole := isControl(strings.TrimSpace(line))
	line = inlineIf.ReplaceAllStringFunc(line, func(e string) string {
		apart := inlineElse.ReplaceAllString(e, " ")
		if whole && apart == e {
			return e
		}
		for _, branch := range inlineElse.Split(e, -1) {
			branch = control.ReplaceAllString(erb.ReplaceAllString(branch, ""), "")
			branch = expansion.ReplaceAllString(branch, "")
			if !oneValue.MatchString(strings.TrimSpace(branch)) {
				return apart
			}
		}
		return p.mask(e)
	})
	return p.chosenOver(line)
}

// A conditional that begins inside of a line, and the end of one.
var (
	beginsIf = regexp.MustCompile(`\{%-?\s*(?:if|for)\b.*?%\}|<%-?\s*(?:if|unless)\b.*?%>`)
	endsIf   = regexp.MustCompile(`\{%-?\s*end(?:if|for)\b.*?%\}|<%-?\s*end\s*-?%>`)
)

// chosenOver puts a mark for a value that a conditional gives which begins behind a name and ends
// in a later line, and skips its lines.
func (p *parser) chosenOver(line string) string {
	if p.chosenLines > 0 {
		p.chosenLines--
		end := endsIf.FindStringIndex(line)
		if end == nil {
			return line[len(strings.TrimRight(line, "\r\n")):]
		}
		p.chosenLines, line = 0, line[end[1]:]
	}
	at := beginsIf.FindStringIndex(line)
	if at == nil || strings.TrimSpace(line[:at[0]]) == "" || endsIf.MatchString(line[at[1]:]) {
		return line
	}
	before, after := strings.TrimRight(line[:at[0]], blank), strings.TrimSpace(line[at[1]:])
	if after == "" && !strings.HasSuffix(before, "=") && !strings.HasSuffix(before, ":") {
		return line
	}
	p.chosenLines = mostChosen
	return line[:at[0]] + p.mask(strings.TrimRight(line[at[0]:], "\r\n")) +
		line[len(strings.TrimRight(line, "\r\n")):]
}

// mostChosen is how many lines such a conditional may go on over.
const mostChosen = 8

// isControl says whether a line is one of a template's own: what is between two of them need not
// be in the file that is made.
func isControl(t string) bool {
	return strings.HasPrefix(t, "{%") || strings.HasPrefix(t, "<%") &&
		!strings.HasPrefix(t, "<%=") || strings.HasPrefix(t, "{{") &&
		strings.HasSuffix(t, "}}") && strings.Count(t, "{{") == 1
}

// masked puts marks for what a template will fill in, so that the rest can be parsed, and takes
// out the lines that are only the template's.
func (p *parser) masked(text string) string {
	if !strings.Contains(text, "{{") && !strings.Contains(text, "{%") &&
		!strings.Contains(text, "<%") {
		return text
	}
	p.chosenLines = 0
	var b strings.Builder
	b.Grow(len(text))
	for line := range strings.SplitAfterSeq(text, "\n") {
		line = p.chosen(line)
		t := strings.TrimSpace(line)
		if isControl(t) {
			p.branches = true
			line = control.ReplaceAllString(erb.ReplaceAllString(line, ""), "")
			if t := strings.TrimSpace(line); strings.HasPrefix(t, "{{") &&
				strings.HasSuffix(t, "}}") {
				line = line[len(strings.TrimRight(line, "\r\n")):]
			}
		}
		line = control.ReplaceAllString(line, "")
		b.WriteString(expansion.ReplaceAllStringFunc(line, p.mask))
	}
	return b.String()
}

// placeholder is what has to be filled in by hand, which a shell takes for redirections.
var placeholder = regexp.MustCompile(`=<[A-Za-z][\w -]*>`)

// shellMasked puts marks for what a template or a person will fill in into a line of a shell.
func (p *parser) shellMasked(line string) string {
	line = p.chosen(line)
	if strings.Contains(line, "{{") || strings.Contains(line, "<%=") {
		line = expansion.ReplaceAllStringFunc(line, p.mask)
	}
	if strings.Contains(line, "=<") {
		line = placeholder.ReplaceAllStringFunc(line, func(e string) string {
			return "=" + p.mask(e[1:])
		})
	}
	return line
}

func (p *parser) mask(text string) string {
	p.masks = append(p.masks, text)
	return "\ue000" + strconv.Itoa(len(p.masks)-1) + "\ue001"
}

// unmasked puts back what the marks stand for.
func (p *parser) unmasked(text string) string {
	if len(p.masks) == 0 || !strings.Contains(text, "\ue000") {
		return text
	}
	return maskedOut.ReplaceAllStringFunc(text, func(m string) string {
		n, err := strconv.Atoi(m[len("\ue000") : len(m)-len("\ue001")])
		if err != nil || n >= len(p.masks) {
			return m
		}
		return p.masks[n]
	})
}

// yaml reads YAML. What does not parse is read in parts: first the blocks that are indented least,
// then what is in these, and at last the lines.
func (p *parser) yaml(text string, row int) {
	if p.tree > mostTree {
		if p.tree < 2*mostTree {
			p.row = row
			p.add(stray("", "", tooMuchTree))
			p.tree = 2 * mostTree
		}
		return
	}
	if !p.documents(text, row, false) {
		p.parts(text, row)
	}
}

// parts reads YAML that does not parse.
func (p *parser) parts(text string, row int) {
	p.tree += len(text) / 8
	head, blocks := blocksOf(text)
	if len(blocks) == 0 {
		p.lastLine(head, row)
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
func (p *parser) lastLine(text string, row int) {
	p.row = row
	if len(text) > longestLine {
		p.add(stray("", "", tooLong))
		return
	}
	if t := trim(strings.TrimPrefix(p.unmasked(text), "- ")); !p.plain(t) {
		p.bracesIn(word{t, row}, jsonText)
	}
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
	nodes int
	// aliases is how many of them lead to the node that is read
	aliases int
}

// documents reads a text that parses; with nested, one that is more than a string.
func (p *parser) documents(text string, row int, nested bool) (ok bool) {
	if len(text) > largestTree {
		return false
	}
	p.tree += len(text) + costOfParse
	t := &yamlText{parser: p, rows: strings.Split(text, "\n"), first: row}
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
		t.walk(t.node(n, 0), "")
	}
	return true
}

// node brings a node of YAML into the common form.
func (t *yamlText) node(n *yaml.Node, depth int) *node {
	out := &node{row: t.rowOf(n), flow: n.Style&yaml.FlowStyle != 0,
		alias: t.aliases > 0}
	if t.nodes++; t.nodes > mostNodes || depth > deepestNest {
		return out
	}
	switch n.Kind {
	case yaml.AliasNode:
		t.aliases++
		out = t.node(n.Alias, depth+1)
		t.aliases--
	case yaml.MappingNode:
		out.kind = table
		for i := 0; i+1 < len(n.Content); i += 2 {
			out.put(t.node(n.Content[i], depth+1), t.node(n.Content[i+1], depth+1))
		}
	case yaml.SequenceNode:
		out.kind = list
		for _, c := range n.Content {
			out.items = append(out.items, t.node(c, depth+1))
		}
	case yaml.ScalarNode:
		out.text = t.word(n)
		out.plain = n.Style&^yaml.TaggedStyle == 0
	}
	return out
}

func (t *yamlText) rowOf(n *yaml.Node) int { return t.first + n.Line - 1 }

// word is a string with the rows of its lines.
func (t *yamlText) word(n *yaml.Node) word {
	text := t.unmasked(strings.ReplaceAll(n.Value, "\x00", ""))
	row := t.rowOf(n)
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return word{strings.TrimRight(text, "\n"), row + 1}
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return word{strings.ReplaceAll(text, "\n", "\n"+written), row}
	case n.Line > len(t.rows) || strings.Contains(t.rows[n.Line-1], n.Value):
		return word{text, row}
	}
	return t.unfolded(n)
}

// unfolded finds the rows of a string whose lines are made one.
func (t *yamlText) unfolded(n *yaml.Node) word {
	at := n.Line - 1
	rest := t.rows[at]
	var out printout
	for i, field := range strings.Fields(strings.ReplaceAll(n.Value, "\x00", "")) {
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
		out.add(word{t.unmasked(field), t.first + at})
	}
	return out.word()
}
