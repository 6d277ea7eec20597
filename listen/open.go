package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// socket is what *net.TCPListener and *net.UnixListener have in common.
type socket interface {
	net.Listener
	syscall.Conn
	SetDeadline(time.Time) error
}

// Listen announces on the local address, as [net.ListenConfig.Listen] does. The network is
// "tcp", "tcp4", "tcp6", "unix" or "unixpacket"; "tcp" with a port alone (":8080") listens
// for IPv4 and IPv6 on one socket. With port 0 the system chooses a port, the same for all
// shards; see [Listener.Addr].
//
// The context is used for looking up the address; once Listen has returned it has no
// effect. Every error is a *net.OpError. It wraps a *BacklogError when a queue was cut, and
// errors.ErrUnsupported when this kernel or this kind of socket cannot do what was asked;
// then nothing is left open.
func (c Config) Listen(ctx context.Context, network, address string) (*Listener, error) {
	o := opening{op: "listen", network: network}
	cfg, err := c.complete()
	if err == nil {
		o.cfg = cfg
		err = o.allow()
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	for range o.cfg.Shards {
		inner, err := o.listen(ctx, address)
		if err != nil {
			o.close()
			return nil, err
		}
		o.inner = append(o.inner, inner)
		address = inner.Addr().String()
	}
	return o.finish()
}

// Adopt makes a Listener from sockets that listen already: [Activated] ones, those of
// package net (*net.TCPListener, *net.UnixListener), a [Listener], and whatever else has
// the method SyscallConn of these, such as a type that embeds one. Its Accept is called, so
// that what a wrapper does to connections is done; what it hides behind a plain
// net.Listener cannot be adopted. Without the method SetDeadline of these, Close does not
// drain. More than one are shards and must share their address. Config.Shards and
// Config.Control are not used, nor is Multipath. On success the Listener owns them.
//
// Others may hold the same sockets (systemd does), so Close leaves the kernel's side alone:
// it takes out of the queues what is there, and closes.
func (c Config) Adopt(listeners ...net.Listener) (*Listener, error) {
	if len(listeners) == 0 {
		return nil, &net.OpError{Op: "adopt", Err: errors.New("no listener given")}
	}
	c.Shards = 1
	o := opening{op: "adopt", network: listeners[0].Addr().Network(), adopted: true}
	cfg, err := c.complete()
	if err != nil {
		return nil, &net.OpError{Op: "adopt", Net: o.network, Err: err}
	}
	o.cfg = cfg
	for _, ln := range listeners {
		inner, err := adoptable(ln)
		if err != nil {
			return nil, &net.OpError{Op: "adopt", Net: o.network, Addr: ln.Addr(),
				Err: err}
		}
		if ln.Addr().String() != listeners[0].Addr().String() {
			return nil, &net.OpError{
				Op:   "adopt",
				Net:  o.network,
				Addr: ln.Addr(),
				Err:  fmt.Errorf("another address than %v", listeners[0].Addr()),
			}
		}
		o.inner = append(o.inner, inner)
	}
	if err := o.allow(); err != nil {
		return nil, &net.OpError{Op: "adopt", Net: o.network, Addr: listeners[0].Addr(),
			Err: err}
	}
	o.cfg.Shards = len(listeners)
	return o.finish()
}

// adoptable finds the socket in a listener.
func adoptable(ln net.Listener) (socket, error) {
	if s, ok := ln.(socket); ok {
		return s, nil
	}
	if sc, ok := ln.(syscall.Conn); ok {
		return undated{ln, sc}, nil
	}
	const why = "%T hides its socket (it has no method SyscallConn): adopt the listener " +
		"inside of it"
	return nil, fmt.Errorf(why+": %w", ln, errors.ErrUnsupported)
}

// undated is a socket that cannot be woken but by closing it.
type undated struct {
	net.Listener
	syscall.Conn
}

func (undated) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// opening is a Listener that is being made.
type opening struct {
	op      string // for errors
	cfg     Config
	network string
	adopted bool
	inner   []socket
	unmet   []error
}

func (o *opening) tcp() bool { return slices.Contains([]string{"tcp", "tcp4", "tcp6"}, o.network) }

// allow refuses, or takes out of the Config, what this network or system cannot do.
func (o *opening) allow() error {
	if !o.tcp() && o.network != "unix" && o.network != "unixpacket" {
		return net.UnknownNetworkError(o.network)
	}
	c := &o.cfg
	for _, f := range []struct {
		name  string
		asked bool
		can   bool
		drop  func()
	}{
		{"Backlog", c.Backlog > 0, onLinux, func() { c.Backlog = 0 }},
		{"Shards", c.Shards > 1, onLinux && o.tcp(), func() { c.Shards = 1 }},
		{"DeferAccept", c.DeferAccept > 0, onLinux && o.tcp(), func() {
			c.DeferAccept = 0
		}},
		{"FastOpen", c.FastOpen > 0, onLinux && o.tcp(), func() { c.FastOpen = 0 }},
		{"UserTimeout", c.UserTimeout > 0, onLinux && o.tcp(), func() {
			c.UserTimeout = 0
		}},
	} {
		if !f.asked || f.can {
			continue
		}
		f.drop()
		if err := o.miss(fmt.Errorf("%s on network %s: %w", f.name, o.network,
			errors.ErrUnsupported)); err != nil {
			return err
		}
	}
	return nil
}

// miss notes what is not as asked, or makes it an error.
func (o *opening) miss(err error) error {
	if !o.cfg.BestEffort {
		return err
	}
	same := func(e error) bool { return e.Error() == err.Error() }
	if !slices.ContainsFunc(o.unmet, same) { // what all shards lack is said once
		o.unmet = append(o.unmet, err)
	}
	return nil
}

func (o *opening) listen(ctx context.Context, address string) (socket, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(o.cfg.Multipath)
	lc.KeepAlive, lc.KeepAliveConfig = o.cfg.KeepAlive, o.cfg.KeepAliveConfig
	if inheritKeepAlive && o.tcp() && !o.cfg.Multipath {
		lc.KeepAlive, lc.KeepAliveConfig = -1, net.KeepAliveConfig{}
	}
	lc.Control = func(network, address string, raw syscall.RawConn) error {
		if o.cfg.Control != nil {
			if err := o.cfg.Control(network, address, raw); err != nil {
				return err
			}
		}
		if !o.tcp() {
			return nil
		}
		return o.prepare(raw)
	}
	ln, err := lc.Listen(ctx, o.network, address)
	if err != nil {
		return nil, err
	}
	return ln.(socket), nil // the networks that allow lets through give nothing else
}

// prepare sets the options that have to be there before the first client comes.
func (o *opening) prepare(raw syscall.RawConn) error {
	if o.cfg.Shards > 1 {
		if err := setReusePort(raw); err != nil {
			return err
		}
	}
	if err := setKeepAlive(raw, o.cfg); err != nil {
		return err
	}
	return o.options(raw)
}

// options sets those that may also be set later.
func (o *opening) options(raw syscall.RawConn) error {
	if o.cfg.DeferAccept > 0 {
		if err := setDeferAccept(raw, o.cfg.DeferAccept); err != nil {
			if err := o.miss(err); err != nil {
				return err
			}
		}
	}
	if o.cfg.UserTimeout > 0 {
		if err := setUserTimeout(raw, o.cfg.UserTimeout); err != nil {
			if err := o.miss(err); err != nil {
				return err
			}
		}
	}
	if o.cfg.FastOpen > 0 {
		if err := setFastOpen(raw, o.cfg.FastOpen); err != nil {
			return o.miss(err)
		}
	}
	return nil
}

// finish gives each socket its backlog and makes the Listener.
func (o *opening) finish() (*Listener, error) {
	l := newListener(o.cfg, o.inner[0].Addr())
	l.shared.Store(o.adopted)
	if o.adopted {
		l.alive = o.cfg.keepAlive()
	}
	for _, inner := range o.inner {
		s, err := newShard(l, inner)
		if err == nil {
			l.shards = append(l.shards, s)
			err = o.size(s)
		}
		if err != nil {
			for _, s := range l.shards {
				s.bell.close()
			}
			o.close()
			return nil, &net.OpError{Op: o.op, Net: o.network, Addr: inner.Addr(),
				Err: err}
		}
	}
	l.unmet = o.unmet
	l.reserve.open()
	// package net closes sockets that are dropped
	runtime.AddCleanup(l, (*reserve).close, l.reserve)
	return l, nil
}

func (o *opening) size(s *shard) error {
	if o.adopted && o.tcp() {
		if err := o.options(s.raw); err != nil {
			return err
		}
	}
	if o.adopted && o.cfg.Backlog == 0 || !onLinux {
		s.limit.Store(int64(readQueue(s.raw).limit)) // its maker has chosen
		return nil
	}
	if err := s.setBacklog(o.cfg.Backlog); err != nil {
		return o.miss(err)
	}
	return nil
}

// close gives up: an adopted socket stays its owner's.
func (o *opening) close() {
	for _, inner := range o.inner {
		if !o.adopted {
			inner.Close()
		}
	}
}
