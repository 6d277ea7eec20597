package sockdiag

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Dump asks for sockets and calls each for every one of them, in the kernel's
// order: listeners, then bound sockets, then all others. each gets the same
// *Socket every time and must not use the Conn.
//
// An error of each ends the dump and is returned as it is. The Conn stays
// usable: the next Dump first reads what is left of this one, which takes the
// kernel as long as it would have taken here. Close is the cheap way out.
//
// Every other error is an *Error. After ErrInterrupted all sockets had been
// delivered; after any other the dump is incomplete. ENOBUFS means that the
// kernel found no memory for a datagram and has stopped (netlink_dump); such a
// Conn answers the next Dump with EAGAIN after five seconds, and has to be
// closed. EBADF: it is closed.
func (c *Conn) Dump(r Request, each func(*Socket) error) error {
	if err := c.drain(); err != nil {
		return &Error{Op: "read the rest of the dump before", Err: err}
	}
	if err := c.send(r, r.filter()); err != nil {
		return err
	}
	interrupted := false
	for c.running {
		m, err := c.next()
		if err != nil {
			return &Error{Op: "receive " + r.String(), Err: err}
		}
		interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
		found, err := c.decode(m, r)
		if err != nil {
			return &Error{Op: "dump " + r.String(), Err: err}
		}
		if !found {
			continue
		}
		if err := each(&c.socket); err != nil {
			return err
		}
	}
	if interrupted {
		return &Error{Op: "dump " + r.String(), Err: ErrInterrupted}
	}
	return nil
}

// decode takes one message in, and says whether c.socket is a new socket.
func (c *Conn) decode(m message, r Request) (found bool, err error) {
	switch m.kind {
	case unix.SOCK_DIAG_BY_FAMILY, tcpDiagRequest:
		if err := parse(m.body, &c.socket); err != nil {
			return false, err
		}
		c.socket.markBound(r.States)
		return true, nil
	case unix.NLMSG_DONE, unix.NLMSG_ERROR:
		// An error answers the request and no dump follows. An errno of 0
		// would be an acknowledgement, and none was asked for.
		c.running = false
		return false, m.status()
	case unix.NLMSG_OVERRUN:
		return false, unix.ENOBUFS
	}
	return false, nil
}

// markBound tells bound sockets, which the kernel calls CLOSE, from sockets
// that were closed after the kernel had chosen them: those gave their port
// back (tcp_set_state, inet_put_port) unless they had been bound to a port by
// name, and then they are bound sockets from now on. The kernel works out
// queues for them from what a refused connect left in their sequence numbers.
func (s *Socket) markBound(states uint32) {
	if s.State == Close && states&BoundInactive.Mask() != 0 && s.Source.Port() != 0 {
		s.State, s.ReceiveQueue, s.SendQueue = BoundInactive, 0, 0
	}
}

// drain reads what an abandoned dump left. The kernel answers EBUSY to a new
// request before that. What the rest says does not matter, but its end does.
func (c *Conn) drain() error {
	for c.running {
		m, err := c.next()
		switch {
		case errors.Is(err, ErrMalformed), errors.Is(err, ErrTruncated):
			continue
		case err != nil:
			return err
		}
		if m.kind == unix.NLMSG_DONE || m.kind == unix.NLMSG_ERROR {
			c.running = false
		}
	}
	return nil
}
