package main

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/render"
)

// usualWidth is the width where the output is no terminal and COLUMNS does not say.
const usualWidth = 100

// style is how the standard output wants its text.
func (a *app) style(verbose bool) render.Style {
	s := render.Style{Width: usualWidth, Verbose: verbose}
	if fd, ok := terminal(a.stdout); ok {
		s.Color = a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" && a.env("TERM") != ""
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			s.Width = w
			return s
		}
	}
	if w, err := strconv.Atoi(a.env("COLUMNS")); err == nil && w > 0 {
		s.Width = w
	}
	return s
}

// lines writes lines of text, those that are too wide for the screen on several. What goes
// elsewhere stays in whole lines.
func (a *app) lines(result func(w io.Writer) error) error {
	var b strings.Builder
	if err := result(&b); err != nil {
		return err
	}
	text := b.String()
	if _, ok := terminal(a.stdout); ok || a.env("COLUMNS") != "" {
		text = render.Fold(text, a.style(false).Width, 4)
	}
	return a.write(func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
}

// terminal is the descriptor of a stream that is a terminal.
func terminal(w io.Writer) (fd int, ok bool) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// printf writes a format of the source with arguments that may hold anything: texts among them are
// made visible, so that they stay what they are, within their line. Nothing else in this package
// writes to a stream (internal/archtest).
func printf(w io.Writer, format string, args ...any) error {
	for i, arg := range args {
		switch arg := arg.(type) {
		case error:
			args[i] = encode.Visible(arg.Error())
		case fmt.Stringer:
			args[i] = encode.Visible(arg.String())
		default:
			if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
				args[i] = encode.Visible(v.String())
			}
		}
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// progress is the line that says how far long work has come.
type progress struct {
	mu    sync.Mutex
	w     io.Writer // nil where nobody looks
	ended bool
}

func (a *app) progress() *progress {
	if _, ok := terminal(a.stderr); !ok {
		return &progress{}
	}
	return &progress{w: a.stderr}
}

// progressWidth is what the line covers and done clears.
const progressWidth = 60

// show says how much time is left. It may be called from any goroutine.
func (p *progress) show(left time.Duration) {
	p.say(fmt.Sprintf("watching, %d s left", int((left+time.Second-1)/time.Second)))
}

// say puts words in the place of those before. It may be called from any goroutine.
func (p *progress) say(words string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && !p.ended {
		printf(p.w, "\r%-*s", progressWidth,
			cut("maxconn: "+words, progressWidth-len("...")))
	}
}

// done clears the line; nothing is shown after it.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && !p.ended {
		printf(p.w, "\r%*s\r", progressWidth, "")
	}
	p.ended = true
}
