package render

import (
	"html/template"
	"io"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/limit"
)

// Page is a report to be shown in a browser, with what is known of the time before.
type Page struct {
	Report diagnose.Report
	Plots  []Plot
	Events []PageEvent // the latest first
	// Live says that a server shows it: it is renewed by page.js.
	Live bool
	// Spaces are the network namespaces that there is a page of, where there are several.
	Spaces []PageSpace
	Note   string // what is to be said before the verdict, ""
}

// PageEvent is a finding that began or ended.
type PageEvent struct{ When, What string }

// PageSpace is a network namespace, with its verdict.
type PageSpace struct {
	Name, Verdict string
	Shown         bool
}

// CheckHTML writes a report as a page that stands alone: no script, no font, nothing to load.
func CheckHTML(w io.Writer, r diagnose.Report) error { return WritePage(w, Page{Report: r}) }

// WritePage writes the page. Without scripts it is whole.
func WritePage(w io.Writer, p Page) error { return checkPage.Execute(w, encode.HTML(p)) }

// words are spans without their paint.
func words(spans []span) (text string) {
	for _, s := range spans {
		text += s.text
	}
	return text
}

// outboundRows and inboundRows are those of the text.
func outboundRows(r diagnose.Report) (rows [][]string) {
	for _, o := range r.Capacity.Outbound {
		rows = append(rows, outboundRow(o))
	}
	return rows
}

func inboundRows(r diagnose.Report) (rows [][]string) {
	for _, i := range r.Capacity.Inbound {
		rows = append(rows, inboundRow(i))
	}
	return rows
}

func goalText(j diagnose.Judged) string {
	verdict, why := goalWords(j)
	return j.Direction + " " + j.Goal + ": " + verdict.text + why
}

var checkPage = template.Must(template.New("check").Funcs(template.FuncMap{
	"about":    func(r diagnose.Report) string { return words(about(r.Host)) },
	"verdict":  func(r diagnose.Report) string { return words(verdictSpans(r)) },
	"outbound": outboundRows, "inbound": inboundRows, "goal": goalText,
	"severity": func(f diagnose.Finding) string { return severity(f).text },
	"subject":  subject, "use": use,
	"evidence": func(e limit.Evidence) string { return evidence(e) },
	"remedy":   func(m limit.Remedy) string { return remedy(m) },
	"unseen":   func(u diagnose.Unseen) string { return u.Fact + ": " + u.Why + usedBy(u) },
	"draw":     func(p Plot) template.HTML { return template.HTML(p.SVG()) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>maxconn: {{.Report.Verdict}}, {{.Report.Host.Name}}</title>
<style>
:root{color-scheme:light dark;--ink:#1f2328;--back:#fff;--line:#d8dee4;--dim:#57606a;--soft:#f6f8fa;--red:#cf222e;--amber:#8a5a00;--green:#1a7f37;--link:#0969da}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--back:#0d1117;--line:#30363d;--dim:#9aa4af;--soft:#161b22;--red:#ff7b72;--amber:#e3b341;--green:#56d364;--link:#79c0ff}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:70rem;margin:1.5rem auto;padding:0 1rem}
a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.dim{color:var(--dim)}
.verdict{font-size:1.2rem;font-weight:600;border-left:.4rem solid var(--amber);padding:.4rem .8rem;background:var(--soft)}
.verdict.holds{border-color:var(--green)}.verdict.binds{border-color:var(--red)}
.critical b{color:var(--red)}.warning b{color:var(--amber)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(4rem,7rem) 1fr;gap:.1rem .6rem;margin:.6rem 0}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1rem}figure{margin:0}
svg{width:100%;height:auto;background:#fff;border-radius:6px}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1rem;list-style:none;padding:0}
</style>
</head>
<body>
<a class="skip" href="#main">to the verdict</a>
<header>
<p class="dim">maxconn: {{about .Report}}</p>
{{if .Live}}<p class="dim"><a href="metrics">metrics</a> <a href="report.json">report.json</a> <button id="freeze" type="button" hidden aria-pressed="false">freeze</button></p>{{end}}
</header>
<main id="main">
{{if .Spaces}}<nav aria-label="network namespaces"><ul>
{{range .Spaces}}<li><a href="?netns={{.Name}}"{{if .Shown}} aria-current="page"{{end}}>{{.Name}}</a>: {{.Verdict}}</li>
{{end}}</ul></nav>{{end}}
{{if .Note}}<p><strong>{{.Note}}</strong></p>{{end}}
<p role="status" class="verdict {{.Report.Verdict}}">{{verdict .Report}}</p>
{{if .Report.Workload}}<h2>Wanted</h2><ul>
{{range .Report.Workload}}<li>{{goal .}}</li>
{{end}}</ul>{{end}}
{{if .Report.Findings}}<h2>Findings</h2>
{{range .Report.Findings}}<details class="{{.Severity}}" id="{{.Limit}} {{.Subject}}"{{if eq .Severity "critical"}} open{{end}}>
<summary><b>{{severity .}}</b> {{.Limit}} at {{subject .}}: {{use .}}</summary>
<dl>
{{if .Cause}}<dt>cause</dt><dd>{{.Cause}}</dd>{{end}}
{{if .Owner}}<dt>set by</dt><dd>{{.Owner}}</dd>{{end}}
{{range .Evidence}}<dt>evidence</dt><dd>{{evidence .}}</dd>
{{end}}{{range .Remedies}}<dt>lift it</dt><dd>{{remedy .}}</dd>
{{end}}{{range .Sources}}<dt>source</dt><dd>{{.}}</dd>
{{end}}</dl></details>
{{end}}{{end}}
{{with outbound .Report}}<h2>Outbound</h2><div class="wide" tabindex="0" role="region" aria-label="outbound"><table>
<tr><th scope="col">from -&gt; to</th><th scope="col">process</th><th scope="col" class="n">now</th><th scope="col" class="n">can hold</th><th scope="col">bound by</th><th scope="col" class="n">new/s</th><th scope="col">bound by</th></tr>
{{range .}}<tr>{{range $i, $x := .}}<td{{if or (eq $i 2) (eq $i 3) (eq $i 5)}} class="n"{{end}}>{{$x}}</td>{{end}}</tr>
{{end}}</table></div>{{end}}
{{with inbound .Report}}<h2>Inbound</h2><div class="wide" tabindex="0" role="region" aria-label="inbound"><table>
<tr><th scope="col">listener</th><th scope="col">process</th><th scope="col" class="n">now</th><th scope="col" class="n">can hold</th><th scope="col">bound by</th><th scope="col" class="n">burst</th><th scope="col">bound by</th></tr>
{{range .}}<tr>{{range $i, $x := .}}<td{{if or (eq $i 2) (eq $i 3) (eq $i 5)}} class="n"{{end}}>{{$x}}</td>{{end}}</tr>
{{end}}</table></div>{{end}}
{{if .Plots}}<h2>Use and ceiling</h2><div class="plots">
{{range .Plots}}<figure>{{draw .}}</figure>
{{end}}</div>{{end}}
{{if .Events}}<h2>Events</h2><ol reversed>
{{range .Events}}<li><time>{{.When}}</time> {{.What}}</li>
{{end}}</ol>{{end}}
{{if .Report.Unseen}}<h2>Not seen</h2><ul>
{{range .Report.Unseen}}<li>{{unseen .}}</li>
{{end}}</ul>{{end}}
<p class="dim">Figures: plain ones were read from the kernel; = computed; &lt;= computed, perhaps lower because something was not seen.</p>
</main>
{{if .Live}}<script src="page.js"></script>{{end}}
</body>
</html>
`))
