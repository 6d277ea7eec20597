//go:build unix || windows

package watch

import (
	"context"
	"errors"
	"io"

	tea "charm.land/bubbletea/v2"
)

// Run puts a model on a terminal until somebody leaves or ctx ends, and gives the terminal back as
// it was. feed shows what is known until its ctx ends.
func Run(ctx context.Context, m *Model, in io.Reader, out io.Writer,
	feed func(ctx context.Context, show func(Now)) error) error {
	ctx, stop := context.WithCancel(ctx)
	p := tea.NewProgram(screen{m}, tea.WithContext(ctx), tea.WithoutSignalHandler(),
		tea.WithInput(in), tea.WithOutput(out))
	fed := make(chan error, 1)
	go func() {
		err := feed(ctx, func(n Now) { p.Send(n) })
		if err != nil {
			p.Send(err)
		}
		fed <- err
	}()
	_, err := p.Run()
	stop()
	if e := <-fed; e != nil {
		return e
	}
	if errors.Is(err, tea.ErrProgramPanic) || !errors.Is(err, tea.ErrProgramKilled) {
		return err
	}
	return nil // ctx has ended
}

// screen is a model as bubbletea wants it.
type screen struct{ m *Model }

func (s screen) Init() tea.Cmd { return nil }

func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.m.Width, s.m.Height = msg.Width, msg.Height
	case Now:
		s.m.See(msg)
	case error: // of a feed that showed nothing
		if len(s.m.later.View.Spaces) == 0 {
			return s, tea.Quit
		}
	case func(*Model):
		msg(s.m)
	case tea.KeyPressMsg:
		if msg.String() == "ctrl+z" {
			return s, tea.Suspend
		}
		work, quit := s.m.Key(msg.String())
		switch {
		case quit:
			return s, tea.Quit
		case work != nil:
			return s, func() tea.Msg { return work() }
		}
	}
	return s, nil
}

func (s screen) View() tea.View {
	v := tea.NewView("")
	if s.m.Width > 0 && s.m.Height > 0 {
		v.SetContent(s.m.Frame())
	}
	v.AltScreen = true
	v.WindowTitle = "maxconn watch"
	return v
}
