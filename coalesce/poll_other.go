//go:build !linux

package coalesce

// busyPoll is possible on Linux only.
func (c *Conn) busyPoll([]byte) (int, error, bool) { return 0, nil, false }
