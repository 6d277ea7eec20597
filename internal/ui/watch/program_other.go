//go:build !unix && !windows

package watch

import (
	"context"
	"errors"
	"io"
)

// Run needs a terminal that can be had: elsewhere there are lines of JSON.
func Run(context.Context, *Model, io.Reader, io.Writer,
	func(context.Context, func(Now)) error) error {
	return errors.New("this system has no full screen: --json")
}
