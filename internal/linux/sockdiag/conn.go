// Package sockdiag streams the TCP sockets of one network namespace out of
// the kernel's NETLINK_SOCK_DIAG interface.
//
// The kernel builds each datagram of a dump inside the system call that reads
// the one before (net/netlink/af_netlink.c netlink_recvmsg, netlink_dump), so
// nothing queues up, one buffer is enough, and memory does not depend on the
// number of sockets. Each socket is decoded into one value that is used again
// for the next.
//
// A dump is not a photograph. The kernel walks its tables bucket by bucket
// while sockets come and go: a socket may be missed, or be seen twice, and its
// state may be newer than the one that matched. Socket.Cookie tells them apart.
package sockdiag

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// datagramSize is the largest datagram that a dump sends: netlink_recvmsg
// caps the size it remembers at 32 KiB, and netlink_dump allocates no more
// (since 4.9, d35c99ff77ec; 16 KiB before). A larger buffer gains nothing, a
// smaller one makes the kernel send smaller datagrams.
const datagramSize = 32 << 10

// silence bounds the wait for a datagram. The kernel queues the next one
// before a read returns, so only a dump that died of ENOBUFS is ever silent.
const silence = 5 * time.Second

// Conn is a netlink socket on which sockets are dumped. It belongs to the
// network namespace of the thread that opened it, whatever thread uses it
// later. It must not be used from two goroutines at once.
type Conn struct {
	fd      int
	port    uint32 // the kernel's name for this socket: replies to it carry it
	seq     uint32 // of the request in flight, or of the last one
	running bool   // the end of the dump in flight has not been read yet
	unread  []byte // what is left of the datagram in buffer
	buffer  []byte
	request []byte
	socket  Socket
}

// Open returns a Conn for the network namespace of the calling thread; a
// caller that changed the namespace of a thread must have it locked
// (runtime.LockOSThread). It needs no privilege. A kernel that has no
// sock_diag says EPROTONOSUPPORT here, one that lacks only its TCP part says
// ENOENT or EOPNOTSUPP to Dump.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC,
		unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, &Error{Op: "open a NETLINK_SOCK_DIAG socket", Err: err}
	}
	port, err := attach(fd)
	if err != nil {
		unix.Close(fd)
		return nil, &Error{Op: "connect a NETLINK_SOCK_DIAG socket to the kernel", Err: err}
	}
	return &Conn{
		fd:      fd,
		port:    port,
		buffer:  make([]byte, datagramSize),
		request: make([]byte, 0, requestSize),
	}, nil
}

// attach connects the socket to the kernel, so that no other process can send
// to it (netlink_getsockbyportid), and returns its port.
func attach(fd int) (uint32, error) {
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	limit := unix.NsecToTimeval(silence.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO,
		&limit); err != nil {
		return 0, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	own, ok := name.(*unix.SockaddrNetlink)
	if !ok {
		return 0, unix.EAFNOSUPPORT
	}
	return own.Pid, nil
}

// Close releases the Conn, and with it a dump that was abandoned. A Conn that
// is closed fails with EBADF.
func (c *Conn) Close() error {
	fd := c.fd
	c.fd, c.running, c.unread = -1, false, nil
	if err := unix.Close(fd); err != nil {
		return &Error{Op: "close a NETLINK_SOCK_DIAG socket", Err: err}
	}
	return nil
}

// send asks for a dump.
func (c *Conn) send(r Request, filter []operation) error {
	c.seq++
	c.request = r.append(c.request[:0], c.seq, filter)
	if err := c.write(); err != nil {
		return &Error{Op: "ask for " + r.String(), Err: err}
	}
	return nil
}

// write sends c.request. The kernel works on it, and queues the first
// datagram, before the call returns.
func (c *Conn) write() error {
	for {
		_, err := unix.Write(c.fd, c.request)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		c.running, c.unread = true, nil
		return nil
	}
}

// next returns the next message that answers the request in flight.
func (c *Conn) next() (message, error) {
	for {
		if len(c.unread) == 0 {
			if err := c.receive(); err != nil {
				return message{}, err
			}
		}
		m, rest, err := split(c.unread)
		c.unread = rest
		if err != nil {
			return message{}, err
		}
		if m.seq == c.seq && m.port == c.port {
			return m, nil
		}
	}
}

// receive reads one datagram. unix.Recvfrom would allocate its sender's
// address each time; the socket is connected, so the sender is the kernel.
func (c *Conn) receive() error {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(c.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(c.buffer))), uintptr(len(c.buffer)),
			unix.MSG_TRUNC, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return errno
		case n == 0:
			return fmt.Errorf("%w: empty datagram", ErrMalformed)
		case int(n) > len(c.buffer): // MSG_TRUNC: n is the datagram's true size
			return ErrTruncated
		}
		c.unread = c.buffer[:n]
		return nil
	}
}

// What went wrong when it was no errno.
var (
	// ErrInterrupted: the kernel marked the dump as inconsistent
	// (NLM_F_DUMP_INTR). All of it was delivered; a second try may be whole.
	ErrInterrupted = errors.New("the tables changed during the dump")
	// ErrTruncated: a datagram was larger than the buffer, and its end is lost.
	ErrTruncated = errors.New("datagram larger than the receive buffer")
	// ErrMalformed: the bytes are no netlink message or no inet_diag message.
	ErrMalformed = errors.New("malformed message")
)

// Error is every error of this package but those of the caller's own function.
// Err is a unix.Errno or one of the errors above, so errors.Is finds unix.ENOENT
// (no such diag module), unix.EPERM, unix.EOPNOTSUPP, unix.ENOBUFS, ErrInterrupted.
type Error struct {
	Op  string // what was tried, on what
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

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
