//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// The protocol: one JSON object a line over a Unix stream socket, a request from
// the parent, one response from the worker, strictly in turn. Descriptors that a
// request needs travel beside its bytes (SCM_RIGHTS, unix(7)).

type request struct {
	ID   uint64          `json:"id"`
	Verb string          `json:"verb"`
	Args json.RawMessage `json:"args,omitempty"`
}

type response struct {
	ID     uint64          `json:"id"`
	Result json.RawMessage `json:"result,omitempty"`
	Fault  *fault          `json:"fault,omitempty"`
}

// fault carries an error across the socket. The number survives, so that
// errors.Is(err, syscall.EADDRINUSE) works on the other side.
type fault struct {
	Text  string        `json:"text"`
	Errno syscall.Errno `json:"errno,omitempty"`
}

func faultOf(err error) *fault {
	f := &fault{Text: err.Error()}
	errors.As(err, &f.Errno)
	return f
}

// Error is what a worker answered when it could not do what it was told. What the
// kernel refuses within an experiment is a result, not an Error.
type Error struct {
	Worker string // the actor's name
	Verb   string
	Text   string
	Errno  syscall.Errno // 0: no system call failed
}

// Error says which worker failed at what.
func (e *Error) Error() string { return fmt.Sprintf("lab: %s: %s: %s", e.Worker, e.Verb, e.Text) }

// Unwrap gives the errno, or nil.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// maxLine bounds what either side keeps of one message.
const maxLine = 1 << 20

var errLongLine = errors.New("message is longer than 1 MiB")

// lines cuts a stream into lines. It keeps what it has read when a read fails, so
// that a time-out in the middle of a line loses nothing.
type lines struct {
	read func([]byte) (int, error)
	held []byte
}

// next gives the next line without its newline. It is valid until the next call.
func (l *lines) next() ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.held, '\n'); i >= 0 {
			line := l.held[:i]
			l.held = l.held[i+1:]
			return line, nil
		}
		if len(l.held) > maxLine {
			return nil, errLongLine
		}
		buf := make([]byte, 16<<10)
		n, err := l.read(buf)
		l.held = append(l.held, buf[:n]...)
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

func encode(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(line) > maxLine {
		return nil, errLongLine
	}
	return append(line, '\n'), nil
}
