//go:build !linux

package coalesce

import "net"

// progressOf cannot tell here: a write that takes WriteTimeout is stuck.
func progressOf(net.Conn) (progress, bool) { return progress{}, false }
