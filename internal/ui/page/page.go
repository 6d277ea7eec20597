// Package page shows what package live knows as a page for people. It only reads.
package page

import (
	"bytes"
	_ "embed"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/render"
)

//go:embed page.js
var script []byte

const (
	mostReaders = 16               // of events at one time
	quiet       = 15 * time.Second // after which a reader is told that it is still connected
	mostPlots   = 6
	fewPlots    = 2 // also where nothing is near its ceiling
)

// policy lets the page load nothing but its own script and what it asks of this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Add adds the page to a server: "/", "/report.json", "/events" and "/page.js".
func Add(now func() time.Time) func(*http.ServeMux, *live.State) {
	return func(mux *http.ServeMux, s *live.State) {
		readers := make(chan struct{}, mostReaders)
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
			send(w, r, "text/html", s.View(now(), ""), func(w io.Writer, v live.View,
				at int) error {
				return render.WritePage(w, pageOf(v, at))
			})
		})
		mux.HandleFunc("GET /report.json", func(w http.ResponseWriter, r *http.Request) {
			send(w, r, "application/json", s.View(now(), ""), func(w io.Writer,
				v live.View, at int) error {
				return render.JSON(w, v.Spaces[at].Report)
			})
		})
		mux.HandleFunc("GET /page.js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			w.Write(script)
		})
		mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent) // browsers ask for it
		})
		mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
			select {
			case readers <- struct{}{}:
				defer func() { <-readers }()
				events(w, r, s)
			default:
				http.Error(w, "too many readers", http.StatusServiceUnavailable)
			}
		})
	}
}

// send answers with the namespace that was asked for, or the first.
func send(w http.ResponseWriter, r *http.Request, kind string, v live.View,
	write func(io.Writer, live.View, int) error) {
	at, name := -1, r.URL.Query().Get("netns")
	for i, s := range v.Spaces {
		if at < 0 && (name == "" || s.Name == name) {
			at = i
		}
	}
	if at < 0 {
		http.Error(w, "no survey of this network namespace yet", http.StatusNotFound)
		return
	}
	var b bytes.Buffer
	if err := write(&b, v, at); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind+"; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.Write(b.Bytes())
}

// events tells a reader of each survey, by server-sent events.
func events(w http.ResponseWriter, r *http.Request, s *live.State) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(w)
	line := ": here\n\n"
	for {
		next := s.Next()
		if c.SetWriteDeadline(time.Now().Add(10*time.Second)) != nil {
			return
		}
		if _, err := io.WriteString(w, line); err != nil || c.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-next:
			line = "data: survey\n\n"
		case <-time.After(quiet):
			line = ": here\n\n"
		}
	}
}

// pageOf is the page of one namespace.
func pageOf(v live.View, at int) render.Page {
	s := v.Spaces[at]
	p := render.Page{Report: s.Report, Live: true}
	if len(v.Spaces) > 1 {
		for i, other := range v.Spaces {
			p.Spaces = append(p.Spaces, render.PageSpace{Name: other.Name,
				Verdict: string(other.Report.Verdict), Shown: i == at})
		}
	}
	if s.Why != "" {
		p.Note = "The last survey failed (" + s.Why + "): this is of " +
			s.At.UTC().Format(time.RFC3339) + "."
	}
	for _, r := range s.Rows {
		worth := len(p.Plots) < fewPlots || len(p.Plots) < mostPlots && r.Share() > 0.01
		if worth && !r.Unbounded && len(r.Trend) > 1 {
			p.Plots = append(p.Plots, plot(r))
		}
	}
	for _, e := range v.Events {
		if e.Space == s.Name {
			p.Events = append(p.Events, eventOf(e))
		}
	}
	return p
}

// plot is the use of a limit over the last surveys, with its ceiling.
func plot(r live.Row) render.Plot {
	c := render.Curve{Name: "use"}
	last := r.Trend[len(r.Trend)-1].At
	for _, p := range r.Trend {
		c.Points = append(c.Points, [2]float64{p.At.Sub(last).Seconds(), float64(p.Used)})
	}
	unit := r.Unit
	if unit == "" {
		unit = "connections"
	}
	return render.Plot{Title: string(r.Limit) + ", " + r.Subject,
		X: "seconds before the last survey", Y: unit, Curves: []render.Curve{c},
		Marks: []render.PlotMark{{Name: "ceiling", X: math.NaN(),
			Y: float64(r.Ceiling)}}}
}

func eventOf(e live.Event) render.PageEvent {
	return render.PageEvent{When: e.At.UTC().Format(time.RFC3339), What: e.What}
}
