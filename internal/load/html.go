//go:build linux

package load

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var page string

// HTML writes one page that needs nothing else: the figures, and plots of rate and open connections over time and of
// the distribution of connect times.
func HTML(w io.Writer, r *Report) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := Text(&text, r); err != nil {
		return err
	}
	return t.Execute(w, struct {
		Title, Text string
		Plots       []plot
	}{r.Title(), text.String(), plots(r)})
}

// plot is a drawing of 640 by 200 units with its axes' ends in words.
type plot struct {
	Title       string
	Lines       []polyline
	Bars        []bar
	Left, Right string // of the x axis
	Top         string // of the y axis
}

type polyline struct{ Name, Class, Points string }

// bar is a rectangle; Says is shown where the pointer is.
type bar struct {
	X, Y, Width, Height float64
	Says                string
}

const (
	plotWidth  = 640.0
	plotHeight = 200.0
)

func plots(r *Report) (out []plot) {
	if len(r.Series) > 1 {
		out = append(out,
			r.line("new connections a second", func(s Sample) float64 { return s.PerSecond }),
			r.line("open connections", func(s Sample) float64 { return float64(s.Open) }),
			r.line("free memory and page cache, MiB", func(s Sample) float64 { return float64(s.Free >> 20) }))
	}
	if len(r.Connect.Buckets) > 0 {
		out = append(out, histogram("connect time", r.Connect))
	}
	if r.Answer != nil && len(r.Answer.Buckets) > 0 {
		out = append(out, histogram("answer time", *r.Answer))
	}
	return out
}

// line plots one figure of the samples over time.
func (r *Report) line(title string, of func(Sample) float64) plot {
	end, top := r.Series[len(r.Series)-1].Seconds, 0.0
	for _, s := range r.Series {
		top = max(top, of(s))
	}
	var b strings.Builder
	for _, s := range r.Series {
		fmt.Fprintf(&b, "%.1f,%.1f ", plotWidth*s.Seconds/max(end, 1e-9), plotHeight*(1-of(s)/max(top, 1)))
	}
	return plot{Title: title, Lines: []polyline{{title, "a", b.String()}}, Left: "0 s", Right: fmt.Sprintf("%.0f s", end), Top: count(int64(top))}
}

// histogram plots how many took how long: each bar's times are twice as long as those of the one before.
func histogram(title string, t Times) plot {
	most := int64(0)
	for _, b := range t.Buckets {
		most = max(most, b.Count)
	}
	p := plot{Title: title + ", each bar twice as long as the one before", Top: count(most), Left: "up to " + micros(t.Buckets[0].UpTo), Right: "up to " + micros(t.Buckets[len(t.Buckets)-1].UpTo)}
	width := plotWidth / float64(len(t.Buckets))
	for i, b := range t.Buckets {
		h := plotHeight * float64(b.Count) / float64(most)
		h = max(h, 1) // a rare time is what one looks for
		p.Bars = append(p.Bars, bar{float64(i) * width, plotHeight - h, width - 2, h, fmt.Sprintf("%s took up to %s", count(b.Count), micros(b.UpTo))})
	}
	return p
}
