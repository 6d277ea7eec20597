package listen

import (
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// reserve is a descriptor that is held to be given up: with its place one connection can be
// accepted, and refused, when there is no other.
type reserve struct {
	wanted bool
	mu     sync.Mutex
	held   bool
	fd     int
	gap    func() // tests: runs while the place is free for others
}

func (r *reserve) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold()
}

// hold makes sure of the descriptor, or says false. An eventfd takes a descriptor and an
// open file (both EMFILE and ENFILE count) and no path, so it works in an empty root
// directory.
func (r *reserve) hold() bool {
	if r.held || !r.wanted {
		return r.held
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return false
	}
	r.fd, r.held = fd, true
	return true
}

func (r *reserve) release() {
	if r.held {
		r.held = false
		unix.Close(r.fd)
	}
}

// close gives the descriptor up for good.
func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release()
	r.wanted = false
}

// refuse accepts one connection in place of the reserve, counts it, and ends it, with a
// message or, if that is empty, a reset: a client that has seen its end finds it counted.
// Between giving the place up and taking it somebody else in this process may be faster:
// then the reserve is lost, until hold finds a descriptor again.
func (r *reserve) refuse(listener syscall.RawConn, message []byte, count *atomic.Uint64) refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !ready(listener) {
		r.hold()
		return queueEmpty
	}
	if !r.hold() {
		return reserveLost
	}
	r.release()
	if r.gap != nil {
		r.gap()
	}
	err := control(listener, func(fd int) error {
		c, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			count.Add(1)
			end(c, message)
		}
		return err
	})
	r.hold()
	switch err {
	case nil:
		return refusedOne
	case unix.EAGAIN:
		return queueEmpty
	}
	return reserveLost
}

func discardInput(raw syscall.RawConn) {
	control(raw, func(fd int) error { discardFrom(fd); return nil })
}

// end refuses a connection for which no goroutine can wait, since it sits in the reserve's place.
func end(fd int, message []byte) {
	defer unix.Close(fd)
	if len(message) == 0 {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		return
	}
	unix.SendmsgN(fd, message, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Shutdown(fd, unix.SHUT_WR)
	discardFrom(fd)
}

// discardFrom reads what has arrived: unread input would turn the close into a reset.
func discardFrom(fd int) {
	var input [4096]byte
	for range 16 {
		if n, _, err := unix.Recvfrom(fd, input[:], unix.MSG_DONTWAIT); n <= 0 ||
			err != nil {
			return
		}
	}
}
