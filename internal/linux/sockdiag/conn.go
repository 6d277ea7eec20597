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
