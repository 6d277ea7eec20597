//go:build linux

package lab

import (
	"context"
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/observe"
)

// Observe takes a snapshot of the lab from inside, as `maxconn observe` would
// there: a user without privileges cannot enter the namespace from outside.
func (l *Lab) Observe() (host.Snapshot, error) {
	var text string
	if err := l.hold.call("observe", nothing{}, &text, maxWithin); err != nil {
		return host.Snapshot{}, err
	}
	s, err := host.Parse([]byte(text))
	if err != nil {
		return host.Snapshot{}, fmt.Errorf("lab: observe: %w", err)
	}
	return s, nil
}

func observeSelf(_ *worker, _ nothing) (string, error) {
	s, err := observe.Observe(context.Background(), observe.Options{})
	return string(s.Text()), err
}
