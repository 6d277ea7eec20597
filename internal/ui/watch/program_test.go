//go:build unix || windows

package watch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// output is safe for concurrent use, and tells when a text has come.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := strings.Contains(o.text.String(), o.want)
	o.text.Write(p)
	if !before && strings.Contains(o.text.String(), o.want) {
		close(o.seen)
	}
	return len(p), nil
}

const (
	alternate = "\x1b[?1049h"
	restored  = "\x1b[?1049l"
)

// However it ends, by a key, by ctx, by a panic or because nothing can be observed, the terminal is
// given back.
func TestTerminalIsGivenBack(t *testing.T) {
	unable := errors.New("permission denied")
	for _, c := range []struct {
		name  string
		keys  string
		leave bool // ctx ends
		feed  error
		want  error
	}{
		{"q", "q", false, nil, nil},
		{"ctrl-c", "\x03", false, nil, nil},
		{"SIGTERM", "", true, nil, nil},
		{"a panic", " ", false, nil, tea.ErrProgramPanic},
		{"nothing to observe", "", false, unable, unable},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			in, keys := io.Pipe()
			defer keys.Close()
			out := &output{want: alternate, seen: make(chan struct{})}
			m := &Model{Hooks: Hooks{Freeze: func(bool) { panic("on purpose") }}}
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, m, in, out, func(ctx context.Context,
					_ func(Now)) error {
					if c.feed != nil {
						<-out.seen
						return c.feed
					}
					<-ctx.Done()
					return nil
				})
			}()
			<-out.seen
			if io.WriteString(keys, c.keys); c.leave {
				stop()
			}
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("it ended with %v, want %v", err, c.want)
			}
			if text := out.text.String(); !strings.Contains(text[strings.Index(text,
				alternate):], restored) {
				t.Errorf("the terminal is not given back: %q", text)
			}
		})
	}
}
