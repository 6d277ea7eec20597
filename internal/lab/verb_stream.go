//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/clock"
)

// StreamSpec describes messages that are sent over one connection, with TCP_NODELAY.
type StreamSpec struct {
	To    netip.AddrPort `json:"to"`
	Bytes int            `json:"bytes"` // of one message; 0 means 100
	N     int            `json:"n"`     // messages
	// bytes gathered for one write; 0: each message is a write of its own
	Buffer  int           `json:"buffer"`
	Timeout time.Duration `json:"timeout"` // 0 means 10 s, at most 1 min
}

// Streamed is what sending took.
type Streamed struct {
	Calls int `json:"calls"` // of write(2)
	Bytes int `json:"bytes"`
	// of the sending thread; on loopback it does most of the receiving too
	CPU time.Duration `json:"cpu"`
}

// Stream sends messages to a server that reads (Serve with CloseSecond) and closes.
func (a *Actor) Stream(spec StreamSpec) (Streamed, error) {
	var out Streamed
	err := a.control.call("stream", spec, &out, within(spec.Timeout))
	return out, err
}

func streamMessages(_ *worker, spec StreamSpec) (Streamed, error) {
	size := spec.Bytes
	if size == 0 {
		size = 100
	}
	if !spec.To.IsValid() || size < 1 || spec.Buffer < 0 || spec.Buffer > 1<<20 ||
		size > 1<<20 {
		return Streamed{}, fmt.Errorf("stream to %v: %w", spec.To, syscall.EINVAL)
	}
	fd, err := connectOne(ConnectSpec{To: spec.To}, within(spec.Timeout))
	if err != nil {
		return Streamed{}, fmt.Errorf("connect to %v: %w", spec.To, err)
	}
	defer syscall.Close(fd)
	if err := setBool(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, true); err != nil {
		return Streamed{}, err
	}
	chunk := max(size, spec.Buffer/size*size) // whole messages
	return sendAll(fd, make([]byte, chunk), count(spec.N)*size)
}

func sendAll(fd int, chunk []byte, total int) (out Streamed, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := clock.Thread()
	if err != nil {
		return out, err
	}
	for out.Bytes < total {
		n := 0
		err := eintr(func() (err error) {
			n, err = syscall.Write(fd, chunk[:min(len(chunk), total-out.Bytes)])
			return err
		})
		out.Calls++
		if err != nil {
			return out, fmt.Errorf("write: %w", err)
		}
		out.Bytes += n
	}
	after, err := clock.Thread()
	out.CPU = after - before
	return out, err
}
