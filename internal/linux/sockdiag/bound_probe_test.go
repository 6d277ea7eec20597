package sockdiag

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ListsBound says whether this kernel lists bound sockets (BoundInactive; 6.8,
// 91051f003948, but distributions backport). It tries: it binds a socket of
// its own to 127.255.255.254 and port, in the network namespace of the calling
// thread, and looks for it. A dump that listed a bound socket has shown as
// much, so this is for dumps that listed none.
//
// The port should lie outside ip_local_port_range: a bound socket keeps
// automatic choice off its port, and before 6.18 (d57f4b874946) the port stays
// lost to it while other sockets share it. With 0 the kernel chooses, inside
// the range. EADDRINUSE says that the port is taken, EACCES that it is below
// ip_unprivileged_port_start.
//
// The port is held while the kernel walks its table of bound ports, and up to
// the first connections in the table of connections: milliseconds, tens of
// them with 100,000 sockets and more.
func ListsBound(port uint16) (bool, error) {
	c, err := Open()
	if err != nil {
		return false, err
	}
	defer c.Close()
	fd, port, err := bindProbe(port)
	if err != nil {
		return false, &Error{Op: fmt.Sprintf("bind a TCP socket to %s", probeName(port)),
			Err: err}
	}
	defer unix.Close(fd)
	inode, err := socketInode(fd)
	if err != nil {
		return false, &Error{Op: fmt.Sprintf("find the inode of a TCP socket on %s",
			probeName(port)), Err: err}
	}
	return c.findBound(port, inode)
}

// probeAddress is an address that hardly anything else binds or connects from.
func probeAddress() [4]byte { return [4]byte{127, 255, 255, 254} }

func probeName(port uint16) string { return fmt.Sprintf("127.255.255.254:%d", port) }

// bindProbe returns a bound socket and its port.
func bindProbe(port uint16) (int, uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, port, err
	}
	port, err = bindTo(fd, port)
	if err != nil {
		unix.Close(fd)
		return -1, port, err
	}
	return fd, port, nil
}

// bindTo binds to the probe's address. IP_FREEBIND lets it in while lo is down.
func bindTo(fd int, port uint16) (uint16, error) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1); err != nil {
		return port, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: probeAddress(), Port: int(port)}); err !=
		nil {
		return port, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return port, err
	}
	own, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return port, unix.EAFNOSUPPORT
	}
	return uint16(own.Port), nil
}

// socketInode is the number that INET_DIAG calls idiag_inode.
func socketInode(fd int) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return uint32(st.Ino), nil
}

// findBound dumps until the socket is seen, or until the kernel has come to
// the connections, which it walks after the bound sockets. The filter lets all
// connections through, so that they fill the first datagram and cut short the
// walk that would go on for each of them. The Conn is of no use afterwards.
func (c *Conn) findBound(port uint16, inode uint32) (bool, error) {
	r := Request{Family: unix.AF_INET, States: AllStates &^ Listen.Mask()}
	if err := c.send(r, probeBytecode(port)); err != nil {
		return false, err
	}
	for c.running {
		m, err := c.next()
		if err != nil {
			return false, &Error{Op: "receive " + r.String(), Err: err}
		}
		found, err := c.decode(m, r)
		if err != nil {
			return false, &Error{Op: "dump " + r.String(), Err: err}
		}
		if !found {
			continue
		}
		if c.socket.Inode == inode {
			return true, nil
		}
		if c.socket.State != BoundInactive && c.socket.State != Close {
			return false, nil
		}
	}
	return false, nil
}

// probeBytecode accepts the sockets with this local port, and all that have a peer.
func probeBytecode(port uint16) []operation {
	return append([]operation{
		{opDestinationAtLeast, comparison, comparison + jump}, {no: 1},
		{opJump, jump, jump + portBytecodeSize},
	}, portBytecode(port)...)
}
