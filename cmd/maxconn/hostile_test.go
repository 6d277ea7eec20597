//go:build linux

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
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
	"mvdan.cc/sh/v3/syntax"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/lint"
	"github.com/maxconn/maxconn/internal/load/result"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/refusal"
	"github.com/maxconn/maxconn/internal/render"
)

// wide is a screen on which nothing is wrapped, so that lines can be counted.
var wide = render.Style{Width: 1 << 20, Verbose: true}

// outputs is one type of report with all forms in which it is written. T has every field that is
// text: Each finds a new one by itself.
type outputs[T any] struct {
	forms map[string]func(io.Writer, T) error
	made  func(*T)               // what a report of this type needs to be shown in full
	kept  func(path string) bool // fields that are no text from elsewhere
}

// language is that of a form: its name up to the space.
func language(form string) string { name, _, _ := strings.Cut(form, " "); return name }

func styled[T any](write func(io.Writer, T, render.Style) error) func(io.Writer, T) error {
	return func(w io.Writer, v T) error { return write(w, v, wide) }
}

func TestHostileReports(t *testing.T) {
	t.Run(
		"check",
		outputs[diagnose.Report]{forms: map[string]func(io.Writer, diagnose.Report) error{
			"text": styled(render.Text), "json": render.JSON, "md": render.Markdown,
			"html": render.CheckHTML,
		}}.test,
	)
	t.Run(
		"check --all-netns",
		outputs[render.Reports]{forms: map[string]func(io.Writer, render.Reports) error{
			"text": styled(
				render.ReportsText,
			), "json": render.ReportsJSON, "md": render.ReportsMarkdown,
		}}.test,
	)
	t.Run(
		"explain",
		outputs[render.Explanation]{forms: map[string]func(io.Writer,
			render.Explanation) error{
			"text": styled(
				render.ExplanationText,
			), "json": render.ExplanationJSON, "md": render.ExplanationMarkdown,
		}, kept: func(path string) bool { // the catalogue's own
			return path == "Limits[].Doc" || path == "Limits[].Title"
		},
		}.test,
	)
	t.Run("plan", outputs[plan.Plan]{forms: map[string]func(io.Writer, plan.Plan) error{
		"text": styled(render.PlanText), "json": render.PlanJSON, "md": render.PlanMarkdown,
		"text apply": func(w io.Writer, p plan.Plan) error {
			return showPlan(w, p, time.Minute)
		},
	}}.test)
	t.Run("fix", outputs[fix.Report]{forms: map[string]func(io.Writer, fix.Report) error{
		"text": styled(render.FixText), "json": render.FixJSON,
	}}.test)
	t.Run("trace", outputs[refusal.Line]{forms: map[string]func(io.Writer, refusal.Line) error{
		"text": styled(render.RefusalText), "json": render.RefusalJSON,
	}}.test)
	t.Run("trace, sum", outputs[refusal.Sum]{forms: map[string]func(io.Writer,
		refusal.Sum) error{
		"text": styled(render.RefusalsText), "json": render.RefusalsJSON,
	}}.test)
	t.Run("prove", outputs[prove.Report]{forms: map[string]func(io.Writer, prove.Report) error{
		"text": styled(
			render.ProofText,
		), "json": render.ProofJSON, "md": render.ProofMarkdown, "html": render.ProofHTML,
		"text kernels": func(w io.Writer, r prove.Report) error {
			return render.ProofsText(w, []prove.Report{r, r}, wide)
		},
		"json kernels": func(w io.Writer, r prove.Report) error {
			return render.ProofsJSON(w, []prove.Report{r, r})
		},
		"md kernels": func(w io.Writer, r prove.Report) error {
			return render.ProofsDoc(w, []prove.Report{r, r})
		},
	}}.test)
	t.Run(
		"prove a workload",
		outputs[prove.Comparison]{forms: map[string]func(io.Writer, prove.Comparison) error{
			"text": styled(
				render.ComparisonText,
			), "json": render.ComparisonJSON, "md": render.ComparisonMarkdown,
		}, made: func(c *prove.Comparison) {
			c.Comparison[0].Before.Errors = map[string]int{"EX": 1}
		}}.test,
	)
	t.Run(
		"prove advice",
		outputs[prove.AdviceReport]{forms: map[string]func(io.Writer,
			prove.AdviceReport) error{
			"text": styled(
				render.AdviceText,
			), "json": render.AdviceJSON, "md": render.AdviceMarkdown,
		}}.test,
	)
	t.Run("load", outputs[result.Report]{forms: map[string]func(io.Writer, result.Report) error{
		"text": func(w io.Writer, r result.Report) error {
			return render.LoadText(w, &r, wide)
		},
		"json": func(w io.Writer, r result.Report) error { return render.LoadJSON(w, &r) },
		"csv":  func(w io.Writer, r result.Report) error { return render.LoadCSV(w, &r) },
		"html": func(w io.Writer, r result.Report) error { return render.LoadHTML(w, &r) },
	}, made: func(r *result.Report) {
		r.Series = append(r.Series, r.Series...)
		r.Server = nil
	}}.test)
	t.Run("lint", outputs[lint.Report]{forms: map[string]func(io.Writer, lint.Report) error{
		"text": styled(render.LintText), "json": render.LintJSON,
		"json SARIF": func(w io.Writer, r lint.Report) error {
			for i := range r.Lines {
				r.Lines[i].Verdict = lint.Harmful
			}
			return render.LintSARIF(w, r, "1")
		},
	}, made: func(r *lint.Report) { r.Files[0] = r.Lines[0].File }}.test)
	t.Run("status", outputs[apply.Status]{forms: map[string]func(io.Writer, apply.Status) error{
		"text": func(w io.Writer, s apply.Status) error {
			return showStatus(w, s, journalFlags{})
		},
		"json": asJSON[apply.Status],
	}}.test)
	t.Run("history",
		outputs[apply.History]{forms: map[string]func(io.Writer, apply.History) error{
			"text": showHistory, "json": asJSON[apply.History],
		}}.test)
	t.Run("rollback", outputs[apply.Taken]{forms: map[string]func(io.Writer, apply.Taken) error{
		"text": func(w io.Writer, s apply.Taken) error {
			return showTaken(w, s, journalFlags{})
		},
		"json": asJSON[apply.Taken],
	}, made: func(r *apply.Taken) { r.Run = 1 }}.test)
	t.Run("verify",
		outputs[apply.Verified]{forms: map[string]func(io.Writer, apply.Verified) error{
			"text": showVerified, "json": asJSON[apply.Verified],
		}}.test)
	t.Run("apply", outputs[apply.Report]{forms: map[string]func(io.Writer, apply.Report) error{
		"text": func(w io.Writer, r apply.Report) error {
			return showReport(w, r, "x", time.Minute, journalFlags{})
		},
		"json": asJSON[apply.Report],
	}}.test)
	t.Run("error", outputs[failure]{forms: map[string]func(io.Writer, failure) error{
		"text": func(w io.Writer, f failure) error {
			(&app{stderr: w}).complain(fmt.Errorf("read %s", f.hint), f.hint)
			return nil
		},
	}}.test)
}

func asJSON[T any](w io.Writer, v T) error { return (&app{stdout: w}).writeJSON(v) }

// harmless is a text that no field gives a meaning to.
const harmless = "zzz"

func (o outputs[T]) report() *T {
	v := new(T)
	hostile.Populate(v, 6)
	if o.made != nil {
		o.made(v)
	}
	return v
}

// each is how many of the hostile texts a field gets alone; all fields at once get all of them.
const each = 6

// test puts hostile texts into every field, alone and together with all others, and reads every
// form as its consumer does: it has to be what a harmless word makes, with the text as data.
func (o outputs[T]) test(t *testing.T) {
	paths := map[string]bool{"": true} // "" is all at once
	hostile.Each(
		o.report(),
		func(path string, _ reflect.Value) { paths[path] = o.kept == nil || !o.kept(path) },
	)
	next, most := 0, each
	if testing.Short() {
		most = 2
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		wanted := paths[path]
		if !wanted {
			continue
		}
		texts := hostile.Strings("/tmp")
		if path != "" {
			texts = append(texts[next:], texts[:next]...)[:most]
			next = (next + each) % len(hostile.Strings("/tmp"))
		}
		for name, write := range o.forms {
			want, err := seen(language(name), o.written(t, write, path, harmless))
			if err != nil {
				t.Errorf("%s, %q is harmless: %v", name, path, err)
				continue
			}
			for _, text := range texts {
				out := o.written(t, write, path, text)
				have, err := seen(language(name), out)
				if err != nil {
					t.Errorf("%s, %q is %.80q: %v\n%.300s", name, path, text,
						err, out)
				} else if have != want && strings.TrimSpace(text) != "" {
					t.Errorf("%s, %q is %.80q: shape\n%s\nwant\n%s\n%.2000s",
						name, path, text, have, want, out)
				}
			}
		}
	}
}

func (o outputs[T]) written(
	t *testing.T,
	write func(io.Writer, T) error,
	path, text string,
) string {
	t.Helper()
	v := o.report()
	hostile.Each(v, func(p string, field reflect.Value) {
		if (p == path || path == "") && (o.kept == nil || !o.kept(p)) {
			field.SetString(text)
		}
	})
	var b bytes.Buffer
	if err := write(&b, *v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// seen is the shape that a consumer sees, or what is wrong with a text.
func seen(language, text string) (shape string, err error) {
	for line := range strings.SplitSeq(text, "\n") {
		if !encode.IsVisible(line) {
			return "", fmt.Errorf("a line that is not visible: %.200q", line)
		}
	}
	switch language {
	case "json":
		return jsonShape(text)
	case "md":
		return markdownShape(text)
	case "html":
		return htmlShape(text)
	case "csv":
		return csvShape(text)
	}
	return strconv.Itoa(strings.Count(text, "\n")) + " lines", nil
}

// jsonShape is the keys and kinds of values; an empty string may have been left out.
func jsonShape(text string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", err
	}
	var shape func(v any) string
	shape = func(v any) (out string) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range sortedKeys(v) {
				out += k + ":" + shape(v[k]) + " "
			}
			return "{" + out + "}"
		case []any:
			for _, e := range v {
				out += shape(e) + " "
			}
			return "[" + out + "]"
		}
		return fmt.Sprintf("%T", v)
	}
	return shape(v), nil
}

func sortedKeys(m map[string]any) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// markdownShape is the elements that GitHub's flavour makes of a document. A text is in prose or in
// a code span; only those elements may stand there that maxconn itself writes.
func markdownShape(text string) (string, error) {
	var b bytes.Buffer
	md := goldmark.New(
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithRendererOptions(gmhtml.WithUnsafe()),
	)
	if err := md.Convert([]byte(text), &b); err != nil {
		return "", err
	}
	root, err := html.Parse(&b)
	if err != nil {
		return "", err
	}
	allowed := strings.Fields(
		"html head body h1 h2 h3 h4 p ul li table thead tbody tr th td strong",
	)
	var shape []string
	for n := range root.Descendants() {
		switch {
		case n.Type != html.ElementNode || n.Data == "code":
		case !slices.Contains(allowed, n.Data):
			return "", fmt.Errorf("an element %s %v", n.Data, n.Attr)
		default:
			shape = append(shape, n.Data)
		}
	}
	return strings.Join(shape, " "), nil
}

// htmlShape is the elements of a page with the names of their attributes.
func htmlShape(text string) (string, error) {
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return "", err
	}
	var shape []string
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			continue
		}
		element := n.Data
		for _, a := range n.Attr {
			element += " " + a.Key
			if a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				return "", fmt.Errorf("a link to %q", a.Val)
			}
		}
		shape = append(shape, element)
	}
	return strings.Join(shape, "\n"), nil
}

// csvShape wants figures below the head: a spreadsheet computes what begins with "=".
func csvShape(text string) (string, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return "", err
	}
	for _, row := range rows[1:] {
		for _, cell := range row {
			if _, err := strconv.ParseFloat(cell, 64); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprint(len(rows), rows[0]), nil
}

// exported is what is wrong with an export as its language, or nil.
func exportedAs(format, text string) error {
	switch format {
	case "ansible", "cloud-init", "kubernetes":
		var doc yaml.Node
		return yaml.Unmarshal([]byte(text), &doc)
	case "shell":
		_, err := syntax.NewParser(
			syntax.Variant(syntax.LangPOSIX),
		).Parse(
			strings.NewReader(text),
			"",
		)
		return err
	}
	return nil
}
