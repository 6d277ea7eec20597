//go:build linux

package lab

import (
	"errors"
	"fmt"
	"syscall"
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
