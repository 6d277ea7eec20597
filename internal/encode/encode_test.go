package encode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	gmhtml "github.com/yuin/goldmark/renderer/html"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/html"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"github.com/maxconn/maxconn/internal/encode/hostile"
)

// encoders are all of them, with what reads the result back. A reader returns the data that it
// found, or an error where there is more than data.
var encoders = []struct {
	name   string
	encode func(s string) string // a document with one piece of data
	decode func(document string) (data string, err error)
	lossy  bool // the data is Visible(s)
}{
	{"terminal", Visible, func(d string) (string, error) { return d, nil }, true},
	{
		"Markdown prose",
		func(s string) string { return "x " + string(Prose(s)) + "\n" },
		markdownText,
		true,
	},
	{
		"Markdown item",
		func(s string) string { return "- " + string(Block(Prose(s))) + "\n" },
		markdownText,
		true,
	},
	{
		"Markdown heading",
		func(s string) string { return "## x " + string(Prose(s)) + "\n" },
		markdownText,
		true,
	},
	{
		"Markdown code",
		func(s string) string { return "x " + string(Code(s)) + "\n" },
		markdownText,
		true,
	},
	{"Markdown cell", func(s string) string {
		return "|a|b|\n|---|---|\n|x " + string(
			Cell(Prose(s)),
		) + " |x " + string(
			Cell(Code(s)),
		) + " |\n"
	}, markdownCells, true},
	{"HTML", htmlDocument, htmlText, true},
	{
		"JSON",
		func(s string) string { b, _ := JSON([]string{s}); return string(b) },
		jsonText,
		false,
	},
	{"YAML", func(s string) string {
		return "- " + string(YAMLString(s)) + "\n"
	}, yamlText, false},
	{
		"YAML text",
		func(s string) string { return "- " + string(YAMLText("  ", s)) + "\n" },
		yamlText,
		false,
	},
	{
		"YAML lines",
		func(s string) string {
			return "- " + string(YAMLText("  ", Lines(s)+"\n")) + "\n"
		},
		yamlText,
		false,
	},
	{
		"Ansible",
		func(s string) string { return "- " + string(AnsibleText("  ", s)) + "\n" },
		yamlText,
		false,
	},
	{
		"shell",
		func(s string) string { return "printf %s " + string(ShellWord(s)) + "\n" },
		shellText,
		true,
	},
	{"Nix", func(s string) string { return string(NixString(s)) }, nixText, true},
	{"comment", func(s string) string { return string(Comment("#", s)) }, commentText, true},
}

// roundTrip is what is wrong with one text through one encoder.
func roundTrip(i int, s string) error {
	e := encoders[i]
	document := e.encode(s)
	for line := range strings.SplitSeq(document, "\n") {
		if !IsVisible(line) {
			return fmt.Errorf("%s of %.80q is not visible: %.200q", e.name, s, document)
		}
	}
	have, err := e.decode(document)
	if err != nil {
		return fmt.Errorf("%s of %.80q: %w: %.200q", e.name, s, err, document)
	}
	want := string([]rune(s))
	switch {
	case e.lossy:
		want = Visible(s)
		if e.name == "comment" {
			want = strings.Join(words(s), " ")
		}
		have, want = squeezed(have), squeezed(want)
	case e.name == "YAML lines":
		want = Lines(s) + "\n"
	}
	if have != want && !(e.name == "comment" && strings.ReplaceAll(have, `\ .`, `\`) == want) {
		return fmt.Errorf("%s of %.80q is %.200q, and read back %.200q", e.name, s,
			document, have)
	}
	return nil
}

// squeezed is a text without runs of spaces: prose does not keep them.
func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestHostileStringsArePlainData(t *testing.T) {
	for i := range encoders {
		for _, s := range hostile.Strings("/tmp") {
			if err := roundTrip(i, s); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzEncoders(f *testing.F) {
	for _, s := range hostile.Strings("/tmp") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i := range encoders {
			if err := roundTrip(i, s); err != nil {
				t.Error(err)
			}
		}
	})
}

// rendered is what GitHub's flavour makes of a document, with raw HTML let through.
func rendered(document string) (*html.Node, error) {
	var b bytes.Buffer
	md := goldmark.New(
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithRendererOptions(gmhtml.WithUnsafe()),
	)
	if err := md.Convert([]byte(document), &b); err != nil {
		return nil, err
	}
	return html.Parse(&b)
}

func among(words, word string) bool { return slices.Contains(strings.Fields(words), word) }

// markdownText is the text of one paragraph, heading or item in which nothing but code spans may
// stand.
func markdownText(document string) (text string, err error) {
	root, err := rendered(document)
	if err != nil {
		return "", err
	}
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode:
			text += n.Data
		case n.Type != html.ElementNode || !among("html head body p h2 ul li code", n.Data):
			return "", fmt.Errorf("it has %s %v", n.Data, n.Attr)
		}
	}
	if strings.HasPrefix(document, "- ") {
		return text, nil
	}
	return strings.TrimPrefix(strings.TrimSpace(text), "x"), nil
}

// markdownCells wants a row of two cells that say the same.
func markdownCells(document string) (string, error) {
	root, err := rendered(document)
	if err != nil {
		return "", err
	}
	var cells []string
	for n := range root.Descendants() {
		switch {
		case n.Data == "td":
			cells = append(cells, "")
		case n.Type == html.TextNode && len(cells) > 0:
			cells[len(cells)-1] += n.Data
		case n.Type == html.ElementNode &&
			!among("html head body table thead tbody tr th code", n.Data):
			return "", fmt.Errorf("it has %s %v", n.Data, n.Attr)
		}
	}
	if len(cells) != 2 || squeezed(cells[0]) != squeezed(cells[1]) {
		return "", fmt.Errorf("the cells are %q", cells)
	}
	return strings.TrimPrefix(cells[0], "x"), nil
}

func htmlDocument(s string) string {
	var b bytes.Buffer
	page := template.Must(template.New("").Parse(`<p title="{{.}}">{{.}}</p>`))
	if err := page.Execute(&b, HTML(s)); err != nil {
		return err.Error()
	}
	return b.String()
}

func htmlText(document string) (text string, err error) {
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		return "", err
	}
	title := ""
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode:
			text += n.Data
		case n.Data == "p" && len(n.Attr) == 1:
			title = n.Attr[0].Val
		case n.Data != "html" && n.Data != "head" && n.Data != "body":
			return "", fmt.Errorf("it has an element %s %v", n.Data, n.Attr)
		}
	}
	if text != title {
		return "", fmt.Errorf("the attribute is %q", title)
	}
	return text, nil
}

func jsonText(document string) (string, error) {
	var one [1]string
	err := json.Unmarshal([]byte(document), &one)
	return one[0], err
}

func yamlText(document string) (string, error) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(document), &node); err != nil {
		return "", err
	}
	if len(node.Content) != 1 || len(node.Content[0].Content) != 1 {
		return "", fmt.Errorf("it is no list of one")
	}
	n := node.Content[0].Content[0]
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!unsafe" ||
		n.HeadComment+n.LineComment+n.FootComment != "" {
		return "", fmt.Errorf("it is a %v %s", n.Kind, n.Tag)
	}
	return n.Value, nil
}

// shellText wants one command of three words without expansions.
func shellText(document string) (string, error) {
	file, err := syntax.NewParser(
		syntax.Variant(syntax.LangPOSIX),
	).Parse(
		strings.NewReader(document),
		"",
	)
	if err != nil || len(file.Stmts) != 1 {
		return "", fmt.Errorf("it is not one statement: %w", err)
	}
	call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) != 3 || len(file.Stmts[0].Redirs) > 0 {
		return "", fmt.Errorf("it is not one command of three words")
	}
	words, err := expand.Fields(&expand.Config{}, call.Args[2])
	if err != nil || len(words) != 1 {
		return "", fmt.Errorf("it is the words %q: %w", words, err)
	}
	return words[0], nil
}

// nixText is a string literal, without what would be evaluated.
func nixText(document string) (string, error) {
	body, ok := strings.CutPrefix(document, `"`)
	body, end := strings.CutSuffix(body, `"`)
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && i+1 < len(body):
			i++
			b.WriteByte(body[i])
		case c == '\\' || c == '"' || strings.HasPrefix(body[i:], "${"):
			return "", fmt.Errorf("not one string")
		default:
			b.WriteByte(c)
		}
	}
	if !ok || !end {
		return "", fmt.Errorf("no string")
	}
	return b.String(), nil
}

func commentText(document string) (string, error) {
	var lines []string
	for line := range strings.Lines(document) {
		rest, ok := strings.CutPrefix(line, "# ")
		if !ok || strings.HasSuffix(line, "\\\n") {
			return "", fmt.Errorf("a line that is no comment")
		}
		lines = append(lines, strings.TrimSuffix(rest, "\n"))
	}
	return strings.Join(lines, " "), nil
}

func TestPlain(t *testing.T) {
	for _, s := range append(hostile.Strings("/tmp"), "net.ipv4.tcp_mem", "4096 87380",
		"eth0.1@if3") {
		p := Plain[Conf](s)
		if !IsPlain(string(p)) || IsPlain(s) != (string(p) == s) {
			t.Errorf("%q is %q", s, p)
		}
	}
	if IsPlain("a  b") || IsPlain("a\tb") || IsPlain(" a") || !IsPlain("4096 87380") {
		t.Error("white space")
	}
}

func TestSARIFText(t *testing.T) {
	for s, want := range map[string]string{
		"a {0}": "a {{0}}", "[x](1)": `\[x\](1)`, "tcp_mem[2]": "tcp_mem[2]",
		"a\x1b": `a\x1b`,
	} {
		if have := SARIFText(s); have != want {
			t.Errorf("%q is %q, want %q", s, have, want)
		}
	}
}

// A copy: the caller keeps its own, at every depth.
func TestHTMLCopies(t *testing.T) {
	type inner struct {
		S string
		n int
	}
	type all struct {
		P *inner
		L []inner
		M map[string]string
		A any
	}
	v := all{&inner{"\x1b", 1}, []inner{{"\u202e", 2}}, map[string]string{"\x07": "\x1b"},
		"\x9b"}
	h := HTML(v)
	if v.P.S != "\x1b" || v.L[0].S != "\u202e" || v.M["\x07"] != "\x1b" {
		t.Errorf("changed: %+v", v)
	}
	want := `\x1b`
	if h.P.S != want || h.P.n != 1 || h.L[0].S != `\u202e` || h.M[`\a`] != want ||
		h.A != any(strconv.Quote("\x9b")[1:5]) {
		t.Errorf("%+v %+v", h, h.P)
	}
}

// The work of every encoder grows with the text: ten times the text takes no hundred times as long.
func TestEncodersAreLinear(t *testing.T) {
	for _, unit := range []string{
		"`", "\\|", "a b ", "\x1b", "'", "{", "](", "\n", "&#", "_", "${", "\xff", "\u202e",
	} {
		text := strings.Repeat(unit, (1<<18)/len(unit))
		for _, e := range encoders {
			start := time.Now()
			e.encode(text)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s of 256 KB of %q took %v", e.name, unit, took)
			}
		}
	}
}

// Lines makes a text of several lines visible, line by line.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Visible(lines[i])
	}
	return strings.Join(lines, "\n")
}
