package render

import (
	"html/template"
	"io"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/load/result"
)

// pageWidth is the width of the figures on a page, in columns.
const pageWidth = 100

// LoadHTML writes what a load reached as one page that stands alone: the figures, and plots
// of rate, open connections and free memory over time and of the distribution of times.
func LoadHTML(w io.Writer, r *result.Report) error {
	var figures strings.Builder
	if err := LoadText(&figures, r, Style{Width: pageWidth}); err != nil {
		return err
	}
	return loadPage.Execute(w, struct {
		Title, Figures string
		Plots          []Plot
	}{encode.HTML(loadTitle(r)), figures.String(), encode.HTML(loadPlots(r))})
}

var loadPage = template.Must(template.New("load").Funcs(template.FuncMap{
	"draw": func(p Plot) template.HTML { return template.HTML(p.SVG()) },
}).Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>maxconn load: {{.Title}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:62rem;margin:2rem auto;padding:0 1rem}
pre{font:13px/1.5 ui-monospace,monospace;overflow-x:auto;padding:1rem;background:#f6f8fa}
svg{width:100%;max-width:46rem;height:auto}
</style>
</head>
<body>
<h1>{{.Title}}</h1>
<pre>{{.Figures}}</pre>
{{range .Plots}}{{draw .}}
{{end}}</body>
</html>
`))

func loadPlots(r *result.Report) (out []Plot) {
	if len(r.Series) > 1 {
		out = append(out, overTime(r, "New connections", "connections a second",
			func(s result.Sample) float64 {
				return s.PerSecond
			}), overTime(r, "Open connections", "connections",
			func(s result.Sample) float64 {
				return float64(s.Open)
			}), overTime(r, "Free memory and page cache", "MiB",
			func(s result.Sample) float64 {
				return float64(s.Free >> 20)
			}))
	}
	if len(r.Connect.Buckets) > 0 {
		out = append(out, distribution("Connect time", "connections", r.Connect))
	}
	if r.Answer != nil && len(r.Answer.Buckets) > 0 {
		out = append(out, distribution("Answer time", "answers", *r.Answer))
	}
	return out
}

// overTime plots one figure of the samples.
func overTime(r *result.Report, title, unit string, of func(result.Sample) float64) Plot {
	c := Curve{Name: title}
	for _, s := range r.Series {
		c.Points = append(c.Points, [2]float64{s.Seconds, of(s)})
	}
	return Plot{Title: title, X: "seconds from the start", Y: unit, Curves: []Curve{c}}
}

// distribution plots how many took how long.
func distribution(title, unit string, t result.Times) Plot {
	p := Plot{
		Title: title,
		X:     "at most; each column takes twice as long as the one before",
		Y:     unit,
	}
	for _, b := range t.Buckets {
		p.Bars = append(p.Bars, Bar{
			Name: micros(b.UpTo),
			Y:    float64(b.Count),
			Says: count(b.Count) + " took up to " + micros(b.UpTo),
		})
	}
	return p
}
