package coalesce

import (
	"io"
	"io/fs"
	"net"
	"os"
	"reflect"
)

// ReadFrom copies from r until the end, as io.Copy does, after all that was accepted before. From
// a regular file the wrapped connection copies by itself, so that the kernel may move the bytes
// (sendfile), and the bytes of no other writer come between, on any kind of connection. From a
// TCP or Unix connection it copies what has arrived, piece by piece, where the kernel may move
// these too (splice); other writers have their turns while the source has nothing. The same holds
// for io.LimitedReaders of these. Other sources are copied through Write.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	source := bare(r)
	var rest *io.LimitedReader
	if l, ok := r.(*io.LimitedReader); ok {
		source, rest = bare(l.R), l
	}
	to, movable := c.inner.(io.ReaderFrom)
	switch s := source.(type) {
	case regular:
		if info, err := s.Stat(); err == nil && info.Mode().IsRegular() {
			return c.move("readfrom", func() (int64, error) {
				return c.moveFile(r, s, rest != nil)
			})
		}
	case *net.TCPConn, *net.UnixConn:
		if in := rawInput(source); in != nil && movable && c.mayMove() {
			return c.moveStream(to, source, in, rest)
		}
	}
	b := newBuffer(copySize)
	defer b.free()
	through := struct{ io.Writer }{c}
	size := min(copySize, c.set.large-1)
	return io.CopyBuffer(through, struct{ io.Reader }{r}, b.data[:size])
}

const copySize = 16 << 10

// regular is a file, if Stat says so.
type regular interface {
	io.Reader
	Stat() (fs.FileInfo, error)
}

// bare undoes what (*os.File).WriteTo and (*net.TCPConn).WriteTo do to keep ReadFrom from calling
// them again: they hand over an unexported struct with the file or connection inside
// (os/file.go, fileWithoutWriteTo; net/tcpsock.go, tcpConnWithoutWriteTo).
func bare(r io.Reader) io.Reader {
	v := reflect.ValueOf(r)
	if v.Kind() != reflect.Struct {
		return r
	}
	if pkg := v.Type().PkgPath(); pkg != "os" && pkg != "net" {
		return r
	}
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch in := v.Field(i).Interface().(type) {
		case *os.File:
			return in
		case *net.TCPConn:
			return in
		}
	}
	return r
}

// moveFile copies a file by the best way that the wrapped connection has. The caller has the
// turn.
func (c *Conn) moveFile(r io.Reader, file regular, limited bool) (int64, error) {
	if to, ok := c.inner.(io.ReaderFrom); ok && c.mayMove() {
		return to.ReadFrom(r)
	}
	if _, unix := c.inner.(*net.UnixConn); unix && !limited {
		return io.Copy(c.inner, file) // which (*os.File).WriteTo does with sendfile
	}
	b := newBuffer(moveSize)
	defer b.free()
	return io.CopyBuffer(owner{c}, struct{ io.Reader }{r}, b.data)
}

const moveSize = 32 << 10

// mayMove says whether a copy by the wrapped connection can be watched, if it has to be.
func (c *Conn) mayMove() bool { return c.set.OnFull == Block || c.shows() }

// owner writes in the turn that its user has.
type owner struct{ conn *Conn }

func (o owner) Write(p []byte) (int, error) {
	o.conn.work.since.Store(clock())
	return o.conn.writeWaiting(p)
}

// moveStream copies what comes from a connection until it ends. It has the turn only while there
// is something to copy, since the source may be idle for long.
func (c *Conn) moveStream(
	to io.ReaderFrom, source io.Reader, in input, rest *io.LimitedReader,
) (total int64, err error) {
	piece := &io.LimitedReader{R: source}
	move := func() (int64, error) { return to.ReadFrom(piece) }
	for rest == nil || rest.N > 0 {
		n, err := in.await()
		if err != nil {
			return total, c.opError("readfrom", err)
		}
		if rest != nil {
			n = min(n, rest.N)
		}
		piece.N = max(n, 1) // at the end, to learn why
		n, err = c.move("readfrom", move)
		total += n
		if rest != nil {
			rest.N -= n
		}
		if n == 0 || err != nil {
			return total, err
		}
	}
	return total, nil
}

// move sends what is pending and then what f sends, in a turn of its own. An error of f is not
// lasting, for it may be one of the source; if it is not, the next write meets it.
func (c *Conn) move(op string, f func() (int64, error)) (int64, error) {
	c.mu.Lock()
	if err := c.refusal(op); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	if err := c.ownTurn(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.flag |= direct
	if err := c.drain(false); err != nil {
		return 0, c.endDirect(op, err)
	}
	c.openLine()
	c.flag |= moving
	c.beginWait()
	c.mu.Unlock()
	n, err := f()
	c.mu.Lock()
	err = c.endWait(int(n), err)
	c.moved(n)
	c.flag &^= moving
	var lasting error
	if err == errStuck {
		lasting = err
	}
	if failed := c.endDirect(op, lasting); failed != nil {
		err = failed
	}
	return n, err
}

// moved accounts for n bytes that others have sent. mu is held.
func (c *Conn) moved(n int64) {
	if n == 0 {
		return
	}
	c.accepted += n
	c.sent += n
	c.messages++
	c.work.seen = c.messages
	for f := c.work.flushes.head; f != nil; f = f.next {
		f.target += n
	}
}
