package lint

import (
	"regexp"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

var braceDocument = regexp.MustCompile(`^(?:<<[-~]?["']?([A-Za-z_]\w*)["']?|` +
	`@\("?([A-Za-z_]\w*)"?[^)\n]*\))`)

// deepestBrace is how far brackets are followed; what is nested deeper is no file that a person
// wrote.
const deepestBrace = 60

// bracer brings a text of a language of braces into nodes. It never fails: brackets that do not
// match end with the text.
type bracer struct {
	lexer
	tok   token
	depth int
	terms int    // so far
	told  []word // what documents a function
}

// mostTerms bounds the words, strings and brackets that are read of a file.
const mostTerms = 300_000

var tooManyTerms = Note{NoEffect, "From here on nothing is judged: the file has more than " +
	"300,000 words.", ""}

// braces reads a file in a language of braces.
func (p *parser) braces(all *rows, l *language) {
	p.bracesIn(word{all.rest, all.n + 1}, l)
	all.rest = ""
}

func (p *parser) bracesIn(w word, l *language) {
	text := w.text
	if l.templates {
		text = p.masked(text)
	}
	role := p.role
	if p.role == anyRole {
		p.role = shellRole
	}
	if l.ends {
		text = rubyWords.ReplaceAllStringFunc(text, quotedList)
	}
	b := &bracer{lexer: lexer{language: l, text: text, row: w.row}}
	b.advance()
	p.ofDocker = l.code && strings.Contains(text, "docker") // whose functions take sysctls
	was := p.lang
	p.lang = l
	p.walk(b.block(0), "")
	p.lang, p.role = was, role
	p.tells(b.told...)
	if b.terms > mostTerms {
		p.goTo(b.row)
		p.add(stray("", "", tooManyTerms))
	}
}

// rubyWords are %w[a b], a list of strings.
var rubyWords = regexp.MustCompile(`%[wWiI](?:\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|<[^>]*>)`)

var rubyWord = regexp.MustCompile(`[^\s"]+`)

func quotedList(words string) string {
	return "[" + rubyWord.ReplaceAllString(words[3:len(words)-1], `"$0",`) + "]"
}

func (b *bracer) advance() { b.tok = b.token() }

// block is what stands up to a closing bracket: a list where nothing in it has a name.
func (b *bracer) block(until byte) *node {
	n := &node{kind: table, row: b.tok.row, flow: until != 0}
	b.depth++
	named := false
	section := n
	for b.tok.kind != 0 && b.tok.kind != until {
		switch b.tok.kind {
		case ',', ';', '\n', '=', '}', ']', ')':
			b.advance()
			continue
		case '[':
			if until == 0 && b.lines && b.hash && b.triple && !b.code {
				section = b.header(n)
				named = true
				continue
			}
		}
		if b.isEnd() {
			if b.advance(); until == 'e' {
				break
			}
			continue
		}
		if b.nix && until == ']' { // blanks stand between the items of a list
			if t := b.term(); t.node != nil {
				section.put(nil, t.node)
			}
			continue
		}
		before := b.at
		key, value := b.statement(until)
		named = named || key != nil
		documents := b.code && b.triple && until == 0 && key == nil
		if value != nil && documents && value.kind == scalar && !value.plain {
			b.told = append(b.told, value.text)
		} else if value != nil {
			section.put(key, value)
		}
		if b.at == before && b.tok.kind != 0 && b.tok.kind != until {
			b.advance()
		}
	}
	b.depth--
	if b.tok.kind == until && until != 0 && until != 'e' {
		b.advance()
	}
	if !named && until != '{' {
		n.kind, n.keys = list, nil
	}
	return n
}

// isEnd is the word that ends a block of Ruby.
func (b *bracer) isEnd() bool { return b.ends && b.tok.kind == 'w' && b.tok.text.text == "end" }

// header is [a.b] of TOML, which begins a table.
func (b *bracer) header(top *node) *node {
	key := &node{row: b.tok.row}
	var name strings.Builder
	for b.tok.kind != '\n' && b.tok.kind != 0 {
		name.WriteString(b.tok.text.text)
		b.advance()
	}
	key.text = word{name.String(), key.row}
	n := &node{kind: table, row: key.row}
	top.put(key, n)
	return n
}

// ending says whether a statement ends here.
func (b *bracer) ending(until byte, terms []term) bool {
	switch b.tok.kind {
	case 0, ',', ';', '}', ']', ')':
		return true
	case '\n':
		open := len(terms) > 0 && terms[len(terms)-1].open
		return b.lines && !open && until != ')' && until != ']'
	}
	return b.isEnd()
}

// term is a part of a statement.
type term struct {
	*node
	sets  bool // = and the like
	colon bool // it is :
	open  bool // what it sets may stand on the next line
	next  bool // no blank stands before it
	body  bool // a block in braces
	call  bool // what stands in parentheses
}

// statement is up to a separator: a name with what is set, a block, or a value without a name.
func (b *bracer) statement(until byte) (key, value *node) {
	var terms []term
	for !b.ending(until, terms) {
		if b.tok.kind == '\n' {
			b.advance()
			continue
		}
		t := b.term()
		if n := len(terms); t.node != nil && t.kind == list && t.next && n > 0 &&
			terms[n-1].node != nil && terms[n-1].plain && t.call {
			if b.ends && b.tok.kind == '{' && len(t.items) == 1 && t.items[0].isText() {
				terms = append(terms, term{node: t.items[0]}) // a block's label
				continue
			}
			call := &node{kind: table, row: terms[n-1].row}
			call.put(terms[n-1].node, t.node)
			t.node.call = true
			terms[n-1] = term{node: call, next: terms[n-1].next}
			continue
		}
		terms = append(terms, t)
		if b.titles && t.colon && len(terms) == 2 && terms[0].node != nil &&
			!terms[0].plain && until == '}' {
			return b.titled(terms[0].node)
		}
	}
	return b.entry(terms)
}

// titled is what stands behind the title of a resource of Puppet.
func (b *bracer) titled(title *node) (key, value *node) {
	n := &node{kind: table, row: title.row}
	for b.tok.kind != 0 && b.tok.kind != '}' && b.tok.kind != ';' {
		if key, value := b.statement(','); key != nil {
			n.put(key, value)
		}
		for b.tok.kind == ',' || b.tok.kind == '\n' {
			b.advance()
		}
	}
	if title.kind == scalar {
		return title, n.titled(title)
	}
	all := &node{kind: list, row: title.row}
	for _, one := range title.items[:min(len(title.items), mostPrinted)] {
		all.items = append(all.items, n.titled(one))
	}
	return nil, all
}

// titled is a table with a title as its name.
func (n *node) titled(title *node) *node {
	out := &node{kind: table, row: title.row}
	out.put(&node{text: word{"name", title.row}, row: title.row}, title)
	out.keys, out.items = append(out.keys, n.keys...), append(out.items, n.items...)
	return out
}

// term takes the next part of a statement.
func (b *bracer) term() term {
	t := b.tok
	if b.terms++; b.terms > mostTerms {
		b.begins, b.at = 0, len(b.text)
	}
	out := term{next: t.next}
	n := &node{text: t.text, row: t.row, plain: t.kind == 'w'}
	b.advance()
	switch t.kind {
	case '=':
		out.sets, out.colon = true, t.text.text == ":"
		out.open = !b.code || !out.colon
		return out
	case '{', '[', '(':
		if b.depth > deepestBrace {
			return term{node: &node{row: t.row}}
		}
		n = b.block(map[byte]byte{'{': '}', '[': ']', '(': ')'}[t.kind])
		out.body, out.call = t.kind == '{', t.kind == '('
		if b.nix && out.call && len(n.items) == 1 && (n.kind == list ||
			overrides[knob.Last(n.keys[0].String())]) {
			n = n.items[0] // (1024), (lib.mkForce 1024)
		}
	case 'w':
		if b.ends && t.text.text == "do" && b.depth <= deepestBrace {
			b.parameters()
			n = b.block('e')
			n.kind, out.body = table, true
			for len(n.keys) < len(n.items) {
				n.keys = append(n.keys, &node{row: n.row})
			}
		}
	}
	out.node = n
	return out
}

// parameters skips |names|.
func (b *bracer) parameters() {
	open := strings.HasPrefix(b.tok.text.text, "|")
	for first := true; open && b.tok.kind != '\n' && b.tok.kind != 0; first = false {
		text := b.tok.text.text
		open = !strings.HasSuffix(text, "|") || first && text == "|"
		b.advance()
	}
}

// entry makes a name and a value of the parts of a statement.
func (b *bracer) entry(terms []term) (key, value *node) {
	first, last := -1, -1
	for i, t := range terms {
		if t.sets {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	switch {
	case len(terms) == 0:
		return nil, nil
	case first > 0 && last < len(terms)-1:
		return pathOf(terms[:first]), b.valueOf(terms[last+1:])
	case first >= 0:
		return b.entry(withoutSets(terms))
	case len(terms) == 1:
		return nil, terms[0].node
	}
	end := terms[len(terms)-1]
	if !terms[0].plain || terms[0].kind != scalar {
		return nil, b.valueOf(terms)
	}
	if end.body {
		return blockName(terms), labelled(terms[1:len(terms)-1], end.node)
	}
	return terms[0].node, b.valueOf(terms[1:])
}

func withoutSets(terms []term) (out []term) {
	for _, t := range terms {
		if !t.sets {
			out = append(out, t)
		}
	}
	return out
}

// blockName is the type of a block with its labels.
func blockName(terms []term) *node {
	var words []string
	for _, t := range terms[:len(terms)-1] {
		if t.kind == scalar {
			words = append(words, t.text.text)
		}
	}
	return &node{text: word{strings.Join(words, " "), terms[0].row}, row: terms[0].row}
}

// labelled gives a block its last label as a name.
func labelled(labels []term, body *node) *node {
	named := body.kind != table || body.has("name")
	for _, l := range labels {
		switch {
		case l.kind != scalar && body.kind == table: // parameters
			body.put(nil, l.node)
		case l.kind == scalar && !l.plain && !named:
			body.put(&node{text: word{"name", l.row}, row: l.row}, l.node)
			named = true
		}
	}
	return body
}

// pathOf is a name that is put together of parts without blanks between them: a.b."c", a['b']['c'].
func pathOf(terms []term) *node {
	from := len(terms) - 1
	for from > 0 && terms[from].next {
		from--
	}
	var parts []string
	plain := true
	for _, t := range terms[from:] {
		n := t.node
		if n.kind == list && len(n.items) == 1 {
			n = n.items[0]
		}
		if n.kind == scalar {
			parts = append(parts, strings.Trim(n.text.String(), ".:"))
			plain = plain && n.plain
		}
	}
	row := terms[len(terms)-1].row
	return &node{text: word{strings.Join(parts, "."), row}, row: row, plain: plain}
}

// overrides are functions of NixOS that give their last argument.
var overrides = map[string]bool{"mkForce": true, "mkDefault": true, "mkOverride": true,
	"mkIf": true, "mkBefore": true, "mkAfter": true, "mkOptionDefault": true, "mkMerge": true,
	"mkVMOverride": true, "mkImageMediaOverride": true}

// literal are words without quotes that stand for themselves.
var literal = regexp.MustCompile(`^(?:-?[0-9][\w.]*|true|false|True|False|null|nil|None|undef|` +
	`:\w+)$`)

// valueOf is the value that some parts give: one of them, the lists and tables among them, or an
// expression.
func (b *bracer) valueOf(terms []term) *node {
	end := terms[len(terms)-1]
	if terms[0].node != nil && terms[0].kind == scalar &&
		overrides[knob.Last(terms[0].text.text)] {
		terms = terms[len(terms)-1:]
	}
	if len(terms) == 1 {
		if end.kind == scalar && end.plain && !literal.MatchString(end.text.text) {
			end.made = true
		}
		return end.node
	}
	out := &node{kind: list, row: terms[0].row}
	var words []string
	for _, t := range terms {
		if t.node != nil && (t.kind != scalar || strings.Contains(t.text.text, "\n")) {
			out.items = append(out.items, t.node)
		} else if t.node != nil {
			words = append(words, t.text.text)
		}
	}
	if len(out.items) > 0 {
		return out
	}
	return &node{text: word{strings.Join(words, " "), terms[0].row}, made: true,
		row: terms[0].row, plain: true}
}
