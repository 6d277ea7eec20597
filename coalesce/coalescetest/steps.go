package coalescetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

// message returns n bytes that differ from those of other messages.
func (tr *trial) message(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(tr.rnd.Uint32())
	}
	return p
}

func (tr *trial) size() int {
	return pick(tr.rnd, 1+tr.rnd.IntN(100), 1+tr.rnd.IntN(5000), 1+tr.rnd.IntN(40_000),
		1+tr.rnd.IntN(200_000))
}

// writeLone writes messages that are sent one by one, until the connection takes to writing such
// in the goroutine of the caller, and one that the socket may take in part.
func (tr *trial) writeLone() {
	for i := range 13 {
		p := tr.message(1 + tr.rnd.IntN(50))
		if i == 12 {
			p = tr.message(tr.rnd.IntN(32_000) + 1)
			time.Sleep(time.Millisecond)
		}
		tr.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := tr.conn.Write(p)
		tr.said = append(tr.said, fmt.Sprintf("lone Write of %d: %d, %v", len(p), n, err))
		tr.expected.Write(p[:n])
		tr.flush()
	}
	tr.conn.SetWriteDeadline(time.Time{})
}

// step makes one random call, and reports whether to go on.
func (tr *trial) step() bool {
	switch tr.rnd.IntN(20) {
	case 0:
		tr.conn.Hold()
		defer tr.conn.Release()
	case 1:
		time.Sleep(time.Duration(tr.rnd.IntN(3000)) * time.Microsecond)
	case 2:
		return tr.flush()
	}
	bound := tr.deadline()
	if tr.ended != nil { // a call that Close finds goes on for as long
		bound = max(bound, closeTimeout)
	}
	p := tr.message(tr.size())
	var n int
	var err error
	name, call := tr.writer(p)
	tr.timed(name, bound, func() { n, err = call() })
	tr.said = append(tr.said, fmt.Sprintf("%s of %d: %d, %v", name, len(p), n, err))
	if n < 0 || n > len(p) {
		n = 0
		tr.late = append(tr.late, name+" returned an impossible count")
	}
	if n < len(p) && err == nil {
		tr.late = append(tr.late, name+" was short without an error")
	}
	tr.expected.Write(p[:n])
	tr.conn.SetWriteDeadline(time.Time{})
	return err == nil || errors.Is(err, coalesce.ErrFull) && tr.conn.Err() == nil ||
		isDeadline(err) && tr.conn.Err() == nil
}

// deadline sets one or none, and returns the bound of the next call. Without one a call ends
// when the peer is found stuck; with Block a large Write and a copy may then wait forever.
func (tr *trial) deadline() time.Duration {
	if tr.cfg.OnFull != coalesce.Block && tr.rnd.IntN(3) > 0 {
		return 2 * writeTimeout // for its turn, and for itself
	}
	d := time.Duration(tr.rnd.IntN(int(600 * time.Millisecond)))
	switch tr.rnd.IntN(6) {
	case 0:
		d = -1
	case 1, 2:
		d = time.Duration(tr.rnd.IntN(int(5 * time.Millisecond)))
	}
	at := time.Now().Add(d)
	if tr.rnd.IntN(4) == 0 { // in the middle of the call
		go tr.conn.SetWriteDeadline(at)
	} else {
		tr.conn.SetWriteDeadline(at)
	}
	return max(d, 0)
}

func (tr *trial) flush() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	tr.timed("FlushContext", 100*time.Millisecond, func() { tr.conn.FlushContext(ctx) })
	return tr.conn.Err() == nil
}

// writer is a random way to write p.
func (tr *trial) writer(p []byte) (string, func() (int, error)) {
	c := tr.conn
	count := func(n int64, err error) (int, error) { return int(n), err }
	switch tr.rnd.IntN(14) {
	default:
		return "Write", func() (int, error) { return c.Write(p) }
	case 5, 6:
		return "TryWrite", func() (n int, err error) {
			tr.timed("TryWrite", 0, func() { err = c.TryWrite(p) })
			if err == nil {
				n = len(p)
			}
			return n, err
		}
	case 7:
		return "WriteNow", func() (int, error) { return c.WriteNow(p) }
	case 8:
		cut := tr.rnd.IntN(len(p))
		if tr.rnd.IntN(2) == 0 {
			return "io.Copy of net.Buffers", func() (int, error) {
				return count(io.Copy(c, &net.Buffers{p[:cut], p[cut:]}))
			}
		}
		return "WriteBuffers", func() (int, error) {
			return count(c.WriteBuffers(net.Buffers{p[:cut], p[cut:]}))
		}
	case 9:
		return "io.Copy from memory", func() (int, error) {
			return count(io.Copy(c, bytes.NewReader(p)))
		}
	case 10:
		return "ReadFrom memory", func() (int, error) {
			return count(c.ReadFrom(io.MultiReader(bytes.NewReader(p))))
		}
	case 11, 12:
		return tr.fileWriter(p)
	case 13:
		return tr.connWriter(p)
	}
}

func (tr *trial) fileWriter(p []byte) (string, func() (int, error)) {
	how := tr.rnd.IntN(3)
	call := func() (int, error) {
		f, err := os.CreateTemp("", "coalesce")
		if err != nil {
			return 0, err
		}
		defer f.Close()
		os.Remove(f.Name())
		if _, err := f.Write(p); err != nil {
			return 0, err
		}
		f.Seek(0, io.SeekStart)
		var n int64
		switch how {
		case 0:
			n, err = io.Copy(tr.conn, f)
		case 1:
			n, err = io.CopyN(tr.conn, f, int64(len(p)))
		case 2:
			n, err = tr.conn.ReadFrom(f)
		}
		return int(n), err
	}
	return []string{"io.Copy", "io.CopyN", "ReadFrom"}[how] + " of a file", call
}

func (tr *trial) connWriter(p []byte) (string, func() (int, error)) {
	network := pick(tr.rnd, "tcp", "unix")
	how := tr.rnd.IntN(3)
	call := func() (int, error) {
		from, source, err := Connected(network)
		if err != nil {
			return 0, err
		}
		defer from.Close()
		go func() { source.Write(p); source.Close() }()
		var n int64
		switch how {
		case 0:
			n, err = io.Copy(tr.conn, from)
		case 1:
			n, err = io.CopyN(tr.conn, from, int64(len(p)))
		case 2:
			n, err = tr.conn.ReadFrom(from)
		}
		return int(n), err
	}
	return []string{"io.Copy", "io.CopyN", "ReadFrom"}[how] + " of " + network, call
}
