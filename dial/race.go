package dial

import (
	"context"
	"net/netip"
	"time"
)

// fallbackDelay is net.Dialer's: how long one family may take before the other is tried as
// well (RFC 6555).
const fallbackDelay = 300 * time.Millisecond

// leastShare is net's: no address of several gets less time, if there is that much.
const leastShare = 2 * time.Second

type outcome struct {
	conn   *Conn
	err    error
	second bool
}

// race dials the first list and, when that fails or takes long, the second beside it. The
// first connection wins; the other is closed.
func (c *core) race(ctx context.Context, network string, first, second []netip.AddrPort) (*Conn,
	error) {
	if len(second) == 0 {
		return c.serial(ctx, network, first)
	}
	delay := c.dialer.Base.FallbackDelay
	if delay < 0 {
		return c.serial(ctx, network, append(first, second...))
	}
	if delay == 0 {
		delay = fallbackDelay
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// not buffered: who finds nobody listening closes its connection
	results := make(chan outcome)
	over := make(chan struct{}) // not ctx: that may end while the outcome is waited for
	defer close(over)
	start := func(list []netip.AddrPort, is bool) {
		conn, err := c.serial(ctx, network, list)
		select {
		case results <- outcome{conn, err, is}:
		case <-over:
			if conn != nil {
				conn.Close()
			}
		}
	}
	go start(first, false)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	return await(results, timer, func() { go start(second, true) })
}

// await starts the second list when the timer fires or the first list has failed, and takes
// what comes. When both fail the error is the first list's.
func await(results <-chan outcome, timer *time.Timer, start func()) (*Conn, error) {
	var firstErr error
	started, failures := false, 0
	for {
		select {
		case <-timer.C:
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if !r.second {
				firstErr = r.err
			}
			if failures++; failures == 2 {
				return nil, firstErr
			}
		}
		if !started {
			started = true
			start()
		}
	}
}

// serial dials one address after the other, each with its share of the time that is left.
// Only for the last it waits for ports.
func (c *core) serial(ctx context.Context, network string, list []netip.AddrPort) (*Conn, error) {
	var firstErr error
	for i, to := range list {
		conn, err := c.share(ctx, network, to, len(list)-i)
		if err == nil {
			return conn, nil
		}
		if firstErr == nil {
			firstErr = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, firstErr
}

// share dials with a share of the time: one of the addresses that are left.
func (c *core) share(ctx context.Context, network string, to netip.AddrPort, left int) (*Conn,
	error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		rest := time.Until(end)
		part := max(rest/time.Duration(left), min(rest, leastShare))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, part)
		defer cancel()
	}
	return c.dialIP(ctx, network, to, left == 1)
}
