//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/clock"
)

// Send writes that many bytes to the first socket of a group, without waiting, and says how
// many the kernel took.
func (a *Actor) Send(g Group, bytes int) (int, error) {
	var out sentBytes
	err := a.order("send", sending{g, bytes, false}, &out)
	return out.Count, err
}

// SendEach writes that many bytes to each socket of a group, without waiting, and says how
// many the kernel took, and which errors there were (EAGAIN: no room).
func (a *Actor) SendEach(g Group, bytes int) (int, map[string]int, error) {
	var out sentBytes
	err := a.control.call("send", sending{g, bytes, true}, &out, maxWithin)
	return out.Count, out.Errors, err
}

// Datagram sends one byte of UDP to an address from a new socket and says with which errno the call
// failed, "" where it did not.
func (a *Actor) Datagram(to netip.AddrPort) (errno string, err error) {
	err = a.order("datagram", to, &errno)
	return errno, err
}

func sendDatagram(_ *worker, to netip.AddrPort) (string, error) {
	family := syscall.AF_INET6
	if to.Addr().Is4() {
		family = syscall.AF_INET
	}
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("datagram to %v: %w", to, err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, []byte{0}, 0, sockaddr(to)); err != nil {
		return errnoName(err), nil
	}
	return "", nil
}

type sending struct {
	Group Group `json:"group"`
	Bytes int   `json:"bytes"`
	Each  bool  `json:"each"`
}

type sentBytes struct {
	Count  int            `json:"count"`
	Errors map[string]int `json:"errors"`
}

func send(w *worker, s sending) (sentBytes, error) {
	out := sentBytes{Errors: map[string]int{}}
	fds, err := w.group(s.Group)
	if err == nil && (len(fds) == 0 || s.Bytes < 0 || s.Bytes > 64<<20) {
		err = syscall.EINVAL
	}
	if err != nil {
		return out, fmt.Errorf("send %d bytes to group %d: %w", s.Bytes, s.Group, err)
	}
	if !s.Each {
		fds = fds[:1]
	}
	body := make([]byte, s.Bytes)
	for _, fd := range fds {
		n, err := syscall.SendmsgN(fd, body, nil, nil,
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			out.Errors[errnoName(err)]++
			continue
		}
		out.Count += n
	}
	return out, nil
}

// DatagramSpec describes UDP datagrams, sent one after the other without a pause.
type DatagramSpec struct {
	To   netip.AddrPort `json:"to"`
	N    int            `json:"n"`    // 0 means 1
	Size int            `json:"size"` // bytes of data
}

// SendDatagrams sends UDP datagrams and says how many the kernel took. It does not say so
// when a queue drops one.
func (a *Actor) SendDatagrams(spec DatagramSpec) (int, error) {
	var out counted
	err := a.control.call("datagrams", spec, &out, maxWithin)
	return out.Count, err
}

func sendDatagrams(_ *worker, spec DatagramSpec) (counted, error) {
	fd, err := syscall.Socket(family(spec.To.Addr()), syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC,
		0)
	if err != nil {
		return counted{}, err
	}
	defer syscall.Close(fd)
	// What waits in a slow queue must not hold up the sender.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF,
		1<<20); err != nil {
		return counted{}, err
	}
	out, body, to := counted{}, make([]byte, max(spec.Size, 0)), sockaddr(spec.To)
	for range count(spec.N) {
		if eintr(func() error {
			return syscall.Sendto(fd, body, syscall.MSG_DONTWAIT, to)
		}) == nil {
			out.Count++
		}
	}
	return out, nil
}

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
	return ask[Streamed](a.control, "stream", spec, within(spec.Timeout))
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
