package listen

import (
	"io"
	"net"
	"reflect"
	"runtime"
	"sync"
)

// Under a limit, a connection is in a wrapper whose Close frees its place. It must cost nothing:
// package net and package os move bytes with sendfile(2) and splice(2) only between connections
// whose types they know (net/splice_linux.go, net/sendfile.go), so what stands between is taken
// away here, from either side of a copy.

// wrapper is what placed makes.
type wrapper interface {
	net.Conn
	inside() net.Conn
}

// placed wraps a connection so that closing it frees its place. So does dropping it, once the
// garbage collector has found that the connection inside cannot be reached; package net closes it
// at the same time.
func (l *Listener) placed(c net.Conn) net.Conn {
	p := &place{places: l.places}
	switch c := c.(type) {
	case *net.TCPConn:
		p.dropped = runtime.AddCleanup(c, (*place).free, p)
		return &tcpConn{TCPConn: c, place: p}
	case *net.UnixConn:
		p.dropped = runtime.AddCleanup(c, (*place).free, p)
		return &unixConn{UnixConn: c, place: p}
	}
	o := &otherConn{Conn: c, place: p}
	p.dropped = runtime.AddCleanup(o, (*place).free, p)
	return o
}

// place is freed once.
type place struct {
	places  chan struct{}
	freed   sync.Once
	dropped runtime.Cleanup
}

func (p *place) free() { p.freed.Do(func() { <-p.places }) }

// close frees the place after the descriptor.
func (p *place) close(c net.Conn) error {
	err := c.Close()
	p.dropped.Stop()
	p.free()
	return err
}

type tcpConn struct {
	*net.TCPConn
	place *place
}

func (c *tcpConn) Close() error      { return c.place.close(c.TCPConn) }
func (c *tcpConn) NetConn() net.Conn { return c.TCPConn }
func (c *tcpConn) inside() net.Conn  { return c.TCPConn }

// ReadFrom copies from r as that of *net.TCPConn does, with its system calls.
func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) {
	switch r := r.(type) {
	case *net.TCPConn, *net.UnixConn:
		return c.TCPConn.ReadFrom(r)
	case *io.LimitedReader:
		if own, ok := r.R.(wrapper); ok {
			part := &io.LimitedReader{R: own.inside(), N: r.N}
			defer func() { r.N = part.N }()
			return c.TCPConn.ReadFrom(part)
		}
	case io.WriterTo: // maybe another wrapper, which knows what it has inside
		return r.WriteTo(c.TCPConn)
	}
	return c.TCPConn.ReadFrom(r)
}

// WriteTo copies to w as that of *net.TCPConn does, with its system calls.
func (c *tcpConn) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(io.ReaderFrom); ok {
		return to.ReadFrom(c.TCPConn)
	}
	return c.TCPConn.WriteTo(w)
}

// unixConn is that of a Unix socket. Its ReadFrom and WriteTo are io's instead of those of
// net.PacketConn, which no connection that Accept returns has a use for.
type unixConn struct {
	*net.UnixConn
	place *place
}

func (c *unixConn) Close() error      { return c.place.close(c.UnixConn) }
func (c *unixConn) NetConn() net.Conn { return c.UnixConn }
func (c *unixConn) inside() net.Conn  { return c.UnixConn }

// ReadFrom copies from r. From TCP that is splice(2), which only *net.TCPConn can begin.
func (c *unixConn) ReadFrom(r io.Reader) (int64, error) {
	if own, ok := r.(wrapper); ok {
		r = own.inside()
	}
	return io.Copy(c.UnixConn, bare(r))
}

// bare gives the *net.TCPConn inside of the type in which package net passes it on when it
// does not know the writer (net/tcpsock.go tcpConnWithoutWriteTo, net/net.go noWriteTo).
// What looks otherwise stays as it is.
func bare(r io.Reader) io.Reader {
	v := reflect.ValueOf(r)
	if v.Kind() != reflect.Struct || v.Type().PkgPath() != "net" {
		return r
	}
	if f := v.FieldByName("TCPConn"); f.IsValid() {
		if c, ok := f.Interface().(*net.TCPConn); ok {
			return c
		}
	}
	return r
}

// WriteTo copies to w, which splices if it is TCP.
func (c *unixConn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, c.UnixConn) }

type otherConn struct {
	net.Conn
	place *place
}

func (c *otherConn) Close() error      { return c.place.close(c.Conn) }
func (c *otherConn) NetConn() net.Conn { return c.Conn }
func (c *otherConn) inside() net.Conn  { return c.Conn }
