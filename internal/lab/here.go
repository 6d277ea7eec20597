//go:build linux

package lab

import (
	"context"
)

// Here is a lab in the present namespaces: its settings are those of the machine and its
// sockets are seen by everybody. It is for a machine that may be spoiled, to show what no
// namespace can.
func Here(ctx context.Context) (*Lab, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := startFirst(0)
	if err != nil {
		return nil, err
	}
	return l.readied(ctx)
}
