//go:build linux

package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// What the machine says goes through one virtio port as frames: a byte for the kind, the length
// as 4 bytes (big-endian), the body. A power cut may end the stream anywhere.
type frame struct {
	kind byte
	body []byte
}

const (
	frameReady  = 'r' // JSON ready: the command is about to start
	frameStdout = 'o'
	frameStderr = 'e'
	frameLog    = 'l' // the kernel's log, whole, after the command ended
	frameExit   = 'x' // JSON exit; the last one
)

// ready is said once init has prepared everything.
type ready struct {
	Release string `json:"release"`
}

// exit is how the command ended, or why it could not be started.
type exit struct {
	Code  int    `json:"code"`
	Error string `json:"error"`
}

// maxFrame bounds what a reader allocates.
const maxFrame = 1 << 20

var errFrame = errors.New("vm: not a frame")

// readFrame gives the next frame; io.EOF at the end of the stream and
// io.ErrUnexpectedEOF inside a frame.
func readFrame(from io.Reader) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return frame{}, fmt.Errorf("%w: length %d", errFrame, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(from, body); err != nil {
		return frame{}, io.ErrUnexpectedEOF
	}
	return frame{head[0], body}, nil
}

// port is the sending end. It is safe for concurrent use.
type port struct {
	mu sync.Mutex
	to io.Writer
}

// send writes one kind of frames, as many as the body needs.
func (p *port) send(kind byte, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for first := true; first || len(body) > 0; first = false {
		n := min(len(body), maxFrame)
		head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(n))
		if _, err := p.to.Write(append(head, body[:n]...)); err != nil {
			return fmt.Errorf("send to the host: %w", err)
		}
		body = body[n:]
	}
	return nil
}

// stream is a writer of one kind of frames.
type stream struct {
	port *port
	kind byte
}

func (s stream) Write(b []byte) (int, error) {
	if err := s.port.send(s.kind, b); err != nil {
		return 0, err
	}
	return len(b), nil
}
