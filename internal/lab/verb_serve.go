//go:build linux

package lab

import (
	"fmt"
	"syscall"
	"time"
)

// Service is what a server does with a connection.
type Service string

const (
	Hold        Service = "hold"         // accepts and keeps it open
	CloseFirst  Service = "close-first"  // accepts and closes it
	CloseSecond Service = "close-second" // accepts, waits for the client's close, closes
)

type serving struct {
	Listener Group   `json:"listener"`
	Service  Service `json:"service"`
}

// Serve gives a listener to a server that runs in the actor from now on, beside its verbs
// and until its end. The group is then no longer the actor's. One connection is served
// after the other.
func (a *Actor) Serve(listener Group, as Service) error {
	return a.order("serve", serving{listener, as}, nil)
}

func serveForever(w *worker, s serving) (nothing, error) {
	fd, err := w.listener(s.Listener)
	if err != nil {
		return nothing{}, err
	}
	serve, ok := map[Service]func(int){Hold: func(int) {}, CloseFirst: closeFirst,
		CloseSecond: closeSecond}[s.Service]
	if !ok {
		return nothing{}, fmt.Errorf("no service %q: %w", s.Service, syscall.EINVAL)
	}
	delete(w.groups, s.Listener)
	go acceptForever(fd, serve)
	return nothing{}, nil
}

// acceptForever waits in the system call, on a thread of its own. Without a free descriptor
// it tries again every millisecond: the experiment wants the queue to fill, not the
// processor.
func acceptForever(listener int, serve func(int)) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			serve(fd)
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EAGAIN:
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			time.Sleep(time.Millisecond)
		default:
			return
		}
	}
}

func closeFirst(fd int) { syscall.Close(fd) }

// closeSecond reads until the client has closed. A client that does not close within a
// minute is given up.
func closeSecond(fd int) {
	defer syscall.Close(fd)
	setTimeout(fd, syscall.SO_RCVTIMEO, maxWithin)
	untilEnd(fd)
}

// untilEnd reads until the peer's FIN, an error or a time-out.
func untilEnd(fd int) {
	buf := make([]byte, 64<<10)
	for {
		n := 0
		err := eintr(func() (err error) {
			n, err = syscall.Read(fd, buf)
			return err
		})
		if err != nil || n == 0 {
			return
		}
	}
}
