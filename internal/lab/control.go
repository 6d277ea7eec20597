//go:build linux

package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// control is the parent's end of a worker's socket. Calls take turns.
type control struct {
	name  string
	said  *tail         // where the workers' standard error goes
	grace time.Duration // what a worker may take beyond the time that its verb was given

	mu   sync.Mutex
	conn *net.UnixConn
	in   lines
	last uint64
}

// socketPair gives both ends of a control socket: the parent's and the worker's.
// It has no name that anybody could connect to.
func socketPair(name string) (*control, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("lab: control socket of %s: %w", name, err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours := os.NewFile(uintptr(fds[0]), "control")
	defer ours.Close() // FileConn has made a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("lab: control socket of %s: %w", name, err)
	}
	c := &control{name: name, grace: answerGrace, conn: conn.(*net.UnixConn)}
	c.in.read = c.conn.Read
	return c, theirs, nil
}

// ErrNoAnswer is a worker that did not answer in time: stopped, or too slow. A late
// answer is dropped and the next call works again.
var ErrNoAnswer = errors.New("no answer in time")

// ErrEnded is a worker that has ended.
var ErrEnded = errors.New("the worker has ended")

// answerGrace is generous: on a loaded machine a worker may wait long for its turn.
const answerGrace = 15 * time.Second

// call sends one request and decodes its result. busy is the time that the verb
// itself may take.
func (c *control) call(verb string, args, result any, busy time.Duration, fds ...int) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return c.fail(verb, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	line, err := encode(request{ID: c.last, Verb: verb, Args: raw})
	if err != nil {
		return c.fail(verb, err)
	}
	c.conn.SetDeadline(time.Now().Add(busy + c.grace))
	if err := c.send(line, fds); err != nil {
		return c.fail(verb, err)
	}
	resp, err := c.receive()
	if err != nil {
		return c.fail(verb, err)
	}
	if resp.Fault != nil {
		return &Error{Worker: c.name, Verb: verb, Text: resp.Fault.Text,
			Errno: resp.Fault.Errno}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(resp.Result, result); err != nil {
		return c.fail(verb, err)
	}
	return nil
}

// ask is a call with a result of this type.
func ask[R any](c *control, verb string, args any, busy time.Duration) (result R, err error) {
	err = c.call(verb, args, &result, busy)
	return result, err
}

func (c *control) send(line []byte, fds []int) error {
	if len(fds) == 0 {
		_, err := c.conn.Write(line)
		return err
	}
	n, _, err := c.conn.WriteMsgUnix(line, syscall.UnixRights(fds...), nil)
	if err == nil && n < len(line) {
		_, err = c.conn.Write(line[n:])
	}
	return err
}

// receive waits for the answer to the last request and skips the late ones of
// earlier requests.
func (c *control) receive() (response, error) {
	for {
		line, err := c.in.next()
		if err != nil {
			return response{}, err
		}
		var resp response
		if err := json.Unmarshal(line, &resp); err != nil {
			return response{}, err
		}
		if resp.ID == c.last {
			return resp, nil
		}
	}
}

func (c *control) fail(verb string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrNoAnswer
	case isEnd(err):
		err = c.ended()
	}
	return fmt.Errorf("lab: %s: %s: %w", c.name, verb, err)
}

// ended adds what workers printed, in case the reason is there.
func (c *control) ended() error {
	if text := c.said.String(); text != "" {
		return fmt.Errorf("%w; workers printed: %s", ErrEnded, text)
	}
	return ErrEnded
}

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

// tail keeps the last bytes of what workers print: the reason why one died.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = t.text[extra:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}
