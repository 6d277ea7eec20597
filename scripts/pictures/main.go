// Command pictures draws what the README shows, from a recorded fault: the screen of watch as SVG,
// and the page of the exporter, for a browser to make a picture of. scripts/pictures.sh runs it.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/maxconn/maxconn/internal/ui/page"
	"github.com/maxconn/maxconn/internal/ui/watch"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// moment is when the fault is at its worst, after the begin of the recording.
const moment = 40 * time.Second

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: pictures RECORDING WATCH.svg PAGE.html")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	m, site, err := played(text)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(args[1], svg(m.Frame(), m.Width, m.Height), 0o644),
		os.WriteFile(args[2], site, 0o644))
}

// played is the screen and the page at the moment.
func played(text []byte) (m *watch.Model, site []byte, err error) {
	m = &watch.Model{Width: 100, Height: 26, Color: true}
	p := watch.NewPlayer(watch.ReadRecording(text), 0)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var begin time.Time
	err = p.Play(ctx, func(n watch.Now) {
		if begin.IsZero() {
			begin = n.View.At
		}
		if n.View.At.Sub(begin) > moment {
			stop()
			return
		}
		m.See(n)
		site = pageAt(p, n.View.At)
	})
	return m, site, err
}

// pageAt is the page as a browser gets it.
func pageAt(p *watch.Player, now time.Time) []byte {
	mux := http.NewServeMux()
	page.Add(func() time.Time { return now })(mux, p.State())
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Body.Bytes()
}

// A cell of the screen, in pixels.
const cellWidth, cellHeight, margin = 8.4, 18.0, 12.0

// paints are the colours of a terminal, by the parameters of SGR that watch uses.
var paints = map[string]string{
	"1": `font-weight="bold"`, "2": `fill="#9198a1"`,
	"1;31": `font-weight="bold" fill="#ff7b72"`, "1;33": `font-weight="bold" fill="#e3b341"`,
	"1;32": `font-weight="bold" fill="#56d364"`,
}

var sequence = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// svg draws a frame.
func svg(frame string, width, height int) []byte {
	var b bytes.Buffer
	w, h := float64(width)*cellWidth+2*margin, float64(height)*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" `+
		`font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" `+
		`font-size="14" fill="#e6edf3"><title>maxconn watch</title>`+"\n"+
		`<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n", w, h)
	for i, line := range strings.Split(frame, "\n") {
		if line == "" {
			continue
		}
		fmt.Fprintf(&b, `<text xml:space="preserve" x="%.0f" y="%.1f" textLength="%.1f" `+
			`lengthAdjust="spacingAndGlyphs">%s</text>`+"\n", margin,
			margin+cellHeight*(float64(i)+0.75),
			float64(ansi.StringWidth(line))*cellWidth, spans(line))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// spans is a line with its colours.
func spans(line string) string {
	var b strings.Builder
	paint := ""
	for line != "" {
		at := sequence.FindStringSubmatchIndex(line)
		text := line
		if at != nil {
			text = line[:at[0]]
		}
		switch {
		case text != "" && paints[paint] != "":
			fmt.Fprintf(&b, "<tspan %s>%s</tspan>", paints[paint],
				html.EscapeString(text))
		default:
			b.WriteString(html.EscapeString(text))
		}
		if at == nil {
			break
		}
		paint, line = line[at[2]:at[3]], line[at[1]:]
	}
	return b.String()
}
