package render

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Plot is measured curves in one frame, drawn as SVG that stands alone.
type Plot struct {
	Title, X, Y string // what the axes are, with units
	Curves      []Curve
	Bars        []Bar // in place of curves: the X axis has their names
	Marks       []PlotMark
}

// Bar is a column, as wide as the others. Says is shown where the pointer is.
type Bar struct {
	Name string
	Y    float64
	Says string
}

// Curve is points in the order of X.
type Curve struct {
	Name   string
	Points [][2]float64
}

// PlotMark is a predicted level (at Y) or moment (at X); the other is NaN.
type PlotMark struct {
	Name string
	X, Y float64
}

// The frame, in pixels.
const (
	plotWidth, plotHeight       = 640.0, 300.0
	plotLeft, plotRight         = 72.0, 16.0
	plotTop, plotBottom         = 28.0, 44.0
	ticksWanted                 = 6
	plotColors                  = "#1f6feb #d1242f #1a7f37 #9a6700 #8250df #57606a"
	plotInk, plotGrid, plotMark = "#1f2328", "#d8dee4", "#bf3989"
)

// scale maps values of an axis to pixels.
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 {
	if s.high == s.low {
		return s.from
	}
	// Halves, because the distance of two figures may be more than the largest one.
	return s.from + (v/2-s.low/2)/(s.high/2-s.low/2)*(s.to-s.from)
}

// SVG draws the plot. No points, an empty frame.
func (p Plot) SVG() string {
	x, y := p.scales()
	var b strings.Builder
	fmt.Fprintf(&b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="11" fill="%s">`+"\n",
		plotWidth, plotHeight, html.EscapeString(Clean(p.Title)), plotInk)
	label(&b, plotLeft, 16, "start", p.Title, `font-weight="600"`)
	p.axes(&b, x, y)
	p.bars(&b, x, y)
	for _, m := range p.Marks {
		m.draw(&b, x, y)
	}
	colors := strings.Fields(plotColors)
	for i, c := range p.Curves {
		c.draw(&b, x, y, colors[i%len(colors)])
		if len(p.Curves) > 1 {
			label(&b, plotWidth-plotRight, plotTop+14+14*float64(i), "end", c.Name,
				`fill="`+colors[i%len(colors)]+`"`)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// scales cover all points and marks; the Y axis begins at 0.
func (p Plot) scales() (x, y scale) {
	lowX, highX, highY := math.Inf(1), math.Inf(-1), 0.0
	see := func(px, py float64) {
		if !math.IsNaN(px) {
			lowX, highX = min(lowX, px), max(highX, px)
		}
		if !math.IsNaN(py) {
			highY = max(highY, py)
		}
	}
	for _, c := range p.Curves {
		for _, pt := range c.Points {
			see(pt[0], pt[1])
		}
	}
	for i, bar := range p.Bars {
		see(float64(i), bar.Y)
		see(float64(i+1), bar.Y)
	}
	for _, m := range p.Marks {
		see(m.X, m.Y)
	}
	if lowX > highX {
		lowX, highX = 0, 1
	}
	if highY == 0 {
		highY = 1
	}
	return scale{lowX, highX, plotLeft, plotWidth - plotRight},
		scale{0, min(highY*1.05, math.MaxFloat64), plotHeight - plotBottom, plotTop}
}

func (p Plot) axes(b *strings.Builder, x, y scale) {
	for _, v := range ticks(y.low, y.high) {
		fmt.Fprintf(b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" stroke="%s"/>`+"\n",
			x.from, x.to, y.at(v), y.at(v), plotGrid)
		label(b, x.from-6, y.at(v)+4, "end", tickWords(v), "")
	}
	for _, v := range p.ticksX(x) {
		label(b, x.at(v), y.from+15, "middle", tickWords(v), "")
	}
	fmt.Fprintf(b, `<path d="M%g %gV%gH%g" fill="none" stroke="%s"/>`+"\n", x.from, y.to,
		y.from, x.to, plotInk)
	label(b, (x.from+x.to)/2, plotHeight-8, "middle", p.X, "")
	label(b, 0, 0, "middle", p.Y, fmt.Sprintf(`transform="translate(14 %g) rotate(-90)"`,
		(y.from+y.to)/2))
}

// ticksX are the figures at the X axis; columns have names.
func (p Plot) ticksX(x scale) []float64 {
	if len(p.Bars) > 0 {
		return nil
	}
	return ticks(x.low, x.high)
}

// mostBarNames is how many names stand beside each other below the frame.
const mostBarNames = 10

// bars draws columns; one that is not empty can be seen.
func (p Plot) bars(b *strings.Builder, x, y scale) {
	color, _, _ := strings.Cut(plotColors, " ")
	every := (len(p.Bars) + mostBarNames - 1) / mostBarNames
	for i, bar := range p.Bars {
		left, right, top := x.at(float64(i))+1, x.at(float64(i+1))-1, y.at(bar.Y)
		if bar.Y > 0 {
			top = min(top, y.from-1)
		}
		fmt.Fprintf(b,
			`<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n",
			left, top, right-left, y.from-top, color,
			html.EscapeString(Clean(bar.Says)))
		if (len(p.Bars)-1-i)%every == 0 {
			label(b, (left+right)/2, y.from+15, "middle", bar.Name, "")
		}
	}
}

func (c Curve) draw(b *strings.Builder, x, y scale, color string) {
	if len(c.Points) == 0 {
		return
	}
	var at []string
	for _, pt := range c.Points {
		at = append(at, fmt.Sprintf("%.1f,%.1f", x.at(pt[0]), y.at(pt[1])))
	}
	fmt.Fprintf(b,
		`<polyline class="curve" points="%s" fill="none" stroke="%s" stroke-width="1.6"/>`+
			"\n", strings.Join(at, " "), color)
	if len(c.Points) <= 40 {
		for _, pt := range c.Points {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.4" fill="%s"/>`+"\n",
				x.at(pt[0]), y.at(pt[1]), color)
		}
	}
}

func (m PlotMark) draw(b *strings.Builder, x, y scale) {
	line := `<path class="mark" shape-rendering="crispEdges" d="M%.1f %.1f%s%.1f" fill="none" stroke="` + plotMark + `" stroke-dasharray="4 3"/>` + "\n"
	if math.IsNaN(m.Y) {
		fmt.Fprintf(b, line, x.at(m.X), y.from, "V", y.to)
		label(b, x.at(m.X)+4, y.to+10, "start", m.Name, `fill="`+plotMark+`"`)
		return
	}
	fmt.Fprintf(b, line, x.from, y.at(m.Y), "H", x.to)
	label(b, x.from+6, y.at(m.Y)-4, "start", m.Name, `fill="`+plotMark+`"`)
}

func label(b *strings.Builder, x, y float64, anchor, words, more string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor,
		more, html.EscapeString(Clean(words)))
}

// mostTicks ends the search for round values where there are none: of figures that are
// large and near to each other, the sum with a step may be the figure itself.
const mostTicks = 2 * ticksWanted

// ticks are round values between low and high.
func ticks(low, high float64) (at []float64) {
	if span := high - low; !(span > 0) || math.IsInf(span, 0) {
		return []float64{low}
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/ticksWanted)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= ticksWanted {
			step *= m
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high+step/1e6 && len(at) < mostTicks; v += step {
		at = append(at, v)
	}
	return at
}

// tickWords is a tick's figure: 1200, 12k, 3.5M.
func tickWords(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(v) >= unit.size {
			if unit.name == "k" {
				return strconv.FormatFloat(v/1000, 'g', 4, 64) + "k"
			}
			return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
