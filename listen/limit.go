package listen

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// ErrLimit is what Config.Warn gets, wrapped, when connections are refused or wait because of
// Config.MaxConnections.
var ErrLimit = errors.New("connection limit reached")

// admit gives a connection its place, or refuses it and returns nil.
func (l *Listener) admit(s *shard, c net.Conn) net.Conn {
	if l.places == nil {
		return c
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c)
	default:
	}
	l.warn(fmt.Errorf("%w: %d are open, policy %v", ErrLimit, l.cfg.MaxConnections, l.cfg.AtLimit))
	if l.cfg.AtLimit != Wait {
		s.atLimit.Add(1)
		l.refuse(c)
		return nil
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c)
	case <-l.closed:
		l.keep(s, c)
		return nil
	}
}

// placed wraps a connection so that closing it frees its place.
func (l *Listener) placed(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return &tcpConn{TCPConn: c, place: place{places: l.places}}
	case *net.UnixConn:
		return &unixConn{UnixConn: c, place: place{places: l.places}}
	}
	return &otherConn{Conn: c, place: place{places: l.places}}
}

// place is freed once.
type place struct {
	places chan struct{}
	freed  sync.Once
}

func (p *place) free() { p.freed.Do(func() { <-p.places }) }

type tcpConn struct {
	*net.TCPConn
	place place
}

func (c *tcpConn) Close() error {
	defer c.place.free() // after the descriptor
	return c.TCPConn.Close()
}

func (c *tcpConn) NetConn() net.Conn { return c.TCPConn }

type unixConn struct {
	*net.UnixConn
	place place
}

func (c *unixConn) Close() error {
	defer c.place.free()
	return c.UnixConn.Close()
}

func (c *unixConn) NetConn() net.Conn { return c.UnixConn }

type otherConn struct {
	net.Conn
	place place
}

func (c *otherConn) Close() error {
	defer c.place.free()
	return c.Conn.Close()
}

func (c *otherConn) NetConn() net.Conn { return c.Conn }
