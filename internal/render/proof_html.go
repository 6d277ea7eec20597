package render

import (
	"html/template"
	"io"
	"math"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// ProofHTML writes proofs as one page that stands alone: no script, no font, nothing to load.
func ProofHTML(w io.Writer, r proof.Report) error {
	return proofPage.Execute(w, encode.HTML(r))
}

var proofPage = template.Must(template.New("proofs").Funcs(template.FuncMap{
	"counts":    proofCounts,
	"predicted": predictedFigure,
	"measured":  measuredFigure,
	"unit":      func(p proof.Proof) string { return ran(p, p.Unit) },
	"seconds":   seconds,
	"plot": func(s proof.Series) template.HTML {
		return template.HTML(seriesPlot(s).SVG())
	},
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>maxconn prove: Linux {{.Kernel}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:62rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.holds{color:#1a7f37}.differs{color:#d1242f;font-weight:600}.could-not-run{color:#9a6700}
code,.mono{font:13px ui-monospace,monospace}
section{margin:2.5rem 0}
svg{width:100%;max-width:46rem;height:auto}
dl{display:grid;grid-template-columns:7rem 1fr;margin:.6rem 0}dt{color:#57606a}dd{margin:0}
</style>
</head>
<body>
<h1>Proofs on Linux {{.Kernel}}</h1>
<p>{{counts .}}, in {{seconds .Seconds}} s, on {{.CPUs}} CPUs, as {{.User}}. Figures marked = are predicted by the formula of the limit, those marked ~ were measured on this kernel.</p>
<table>
<tr><th>claim</th><th class="n">predicted</th><th class="n">measured</th><th>unit</th><th>verdict</th><th class="n">s</th></tr>
{{range .Proofs}}<tr><td><a href="#{{.ID}}"><code>{{.ID}}</code></a><br>{{.Claim}}</td><td class="n">{{predicted .}}</td><td class="n">{{measured .}}</td><td>{{unit .}}</td><td class="{{.Verdict}}">{{.Verdict}}</td><td class="n">{{seconds .Seconds}}</td></tr>
{{end}}</table>
{{range .Proofs}}<section id="{{.ID}}">
<h2><code>{{.ID}}</code> <span class="{{.Verdict}}">{{.Verdict}}</span></h2>
<p>{{.Claim}}.</p>
{{range .Series}}{{plot .}}
{{end}}<dl>
{{if .Why}}<dt>why</dt><dd>{{.Why}}</dd>{{end}}
{{if .Formula}}<dt>formula</dt><dd class="mono">{{.Formula}}</dd>{{end}}
{{if .Note}}<dt>note</dt><dd>{{.Note}}</dd>{{end}}
{{range .Evidence}}<dt>evidence</dt><dd{{if not .OK}} class="differs"{{end}}>{{.What}}: {{.Got}}{{if not .OK}}, expected {{.Want}}{{end}}</dd>
{{end}}{{range .Control}}<dt>control</dt><dd{{if not .OK}} class="differs"{{end}}>{{.What}}: {{.Got}}{{if not .OK}}, expected {{.Want}}{{end}}</dd>
{{end}}<dt>source</dt><dd class="mono">{{.Source}}</dd>
</dl>
</section>
{{end}}</body>
</html>
`))

// seriesPlot is a series as a plot of one curve.
func seriesPlot(s proof.Series) Plot {
	c := Curve{Name: s.Name}
	for _, pt := range s.Points {
		c.Points = append(c.Points, [2]float64{pt.X, pt.Y})
	}
	p := Plot{Title: s.Name, X: s.X, Y: s.Y, Curves: []Curve{c}}
	for _, m := range s.Marks {
		mark := PlotMark{Name: m.Name, X: math.NaN(), Y: math.NaN()}
		if m.X != nil {
			mark.X = *m.X
		}
		if m.Y != nil {
			mark.Y = *m.Y
		}
		p.Marks = append(p.Marks, mark)
	}
	return p
}
