package render

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/spent"
)

// A plot is well-formed XML whose points lie inside the frame, whatever is put in.
func FuzzPlot(f *testing.F) {
	f.Add("a <title>", 0.0, 1.0, 2.0, 3.0)
	f.Add("\x1b[31m", -5.0, 1e12, 5.0, 0.0)
	f.Add("flat", 1.0, 1.0, 1.0, 1.0)
	f.Add("near", 1e17, 1.0, 1e17+20, 1e17+20)
	f.Add("far", -math.MaxFloat64, math.MaxFloat64, math.MaxFloat64, 0.0)
	f.Add("small", 5e-324, 5e-324, 1e-323, 1e-323)
	f.Fuzz(func(t *testing.T, name string, x1, y1, x2, y2 float64) {
		for _, v := range []float64{x1, y1, x2, y2} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Skip("JSON has no such figure")
			}
		}
		p := Plot{Title: name, X: name, Y: name,
			Curves: []Curve{{name,
				[][2]float64{{x1, math.Abs(y1)}, {x2, math.Abs(y2)}}}},
			Marks: []PlotMark{{name, math.NaN(), math.Abs(y1)},
				{name, x2, math.NaN()}}}
		spent.Within(t, len(name), func() { wellFormed(t, p.SVG()) })
	})
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}

func TestPlotPlacesPoints(t *testing.T) {
	p := Plot{Curves: []Curve{{"c", [][2]float64{{0, 0}, {10, 100}}}},
		Marks: []PlotMark{{"level", math.NaN(), 50}}}
	svg := p.SVG()
	for _, want := range []string{`points="72.0,256.0 624.0,`,
		`<path class="mark" shape-rendering="crispEdges" d="M72.0 `} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{{0, 1, "0 0.2 0.4 0.6 0.8 1"}, {0, 60, "0 10 20 30 40 50 60"},
		{0, 1.2e6, "0 200k 400k 600k 800k 1M 1.2M"}, {5, 5, "5"}} {
		var words []string
		for _, v := range ticks(c.low, c.high) {
			words = append(words, tickWords(v))
		}
		if got := strings.Join(words, " "); got != c.want {
			t.Errorf("ticks %v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
	}
}
