package dial

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probe asks the kernel which options it knows. Versions do not tell: distributions
// backport. The error is a lack of descriptors.
func probe() (features, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil && !lacking(err) {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	switch {
	case lacking(err):
		return features{}, os.NewSyscallError("socket", err)
	case err != nil:
		return features{explicit: true}, nil
	}
	defer unix.Close(fd)
	return features{
		lateBind: unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT,
			1) == nil,
		window: unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE,
			0) == nil,
		explicit: true,
	}, nil
}

// readSettings reads what the kernel says of this process's network namespace. What cannot
// be read is no range, no reserved ports, and -1. The error is a lack of descriptors.
func readSettings() (ports PortRange, reserved *portSet, reuse int, err error) {
	reserved, reuse = &portSet{}, -1
	var texts [3]string
	for i, name := range [...]string{"ip_local_port_range", "ip_local_reserved_ports",
		"tcp_tw_reuse"} {
		text, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if lacking(err) {
			return ports, reserved, reuse, err
		}
		texts[i] = string(text)
	}
	ports, _ = parseRange(texts[0])
	if set, err := parseReserved(texts[1]); err == nil {
		reserved = set
	}
	if n, err := strconv.Atoi(strings.TrimSpace(texts[2])); err == nil {
		reuse = n
	}
	return ports, reserved, reuse, nil
}

// attempt is one call of net.Dialer: one socket, but for the second one that net takes when
// a connection came back to itself.
type attempt struct {
	base    net.Dialer
	core    *core
	to      *destination
	pair    *pair
	set     *settings
	choice  Choice
	got     func()
	verdict verdict
	port    int  // ExplicitPort: held
	whole   bool // the port came from a search of the whole range
}

// errTurnedAway stops net.Dialer; why is in the verdict. It is no errno, for at
// EADDRNOTAVAIL net tries twice more (net/tcpsock_posix.go spuriousENOTAVAIL).
var errTurnedAway = errors.New("dial: the source cannot be used")

// connect makes one connection from one source.
func (c *core) connect(ctx context.Context, network string, t *destination, p *pair, set *settings,
	got func()) (*Conn, verdict, error) {
	a := &attempt{
		base:   c.dialer.Base,
		core:   c,
		to:     t,
		pair:   p,
		set:    set,
		choice: c.choice(set),
		got:    got,
	}
	a.base.Timeout, a.base.Deadline, a.base.LocalAddr = 0, time.Time{}, nil
	a.base.ControlContext = a.control
	conn, err := a.base.DialContext(ctx, network, t.addr.String())
	if err != nil {
		a.unport()
		if errors.Is(err, errTurnedAway) {
			return nil, a.verdict, err
		}
		return nil, failed, err
	}
	kept := c.keep(t, p, conn.(*net.TCPConn))
	if a.whole {
		t.found(p, kept.lease.port)
	}
	return kept, connected, nil
}

// control runs the user's Control, binds, and connects. net.Dialer connects once more and
// finds EALREADY or EISCONN (connect(2)), which it takes as it takes EINPROGRESS or success
// (net/fd_unix.go). So a full window costs a system call and not another socket, and the
// errno is known together with the call that it came from.
func (a *attempt) control(ctx context.Context, network, address string, raw syscall.RawConn) error {
	if err := a.user(ctx, network, address, raw); err != nil {
		return err
	}
	a.unport() // of an earlier socket
	var err error
	if failure := raw.Control(func(fd uintptr) { err = a.open(ctx, int(fd)) }); failure != nil {
		return failure
	}
	if err == nil {
		a.got()
	}
	return err
}

func (a *attempt) user(ctx context.Context, network, address string, raw syscall.RawConn) error {
	switch base := &a.core.dialer.Base; {
	case base.ControlContext != nil:
		return base.ControlContext(ctx, network, address, raw)
	case base.Control != nil:
		return base.Control(network, address, raw)
	}
	return nil
}

// open binds the source and connects.
func (a *attempt) open(ctx context.Context, fd int) error {
	if d := a.core.dialer.UserTimeout; d > 0 {
		ms := int((d + time.Millisecond - 1) / time.Millisecond)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT,
			ms); err != nil {
			return os.NewSyscallError("setsockopt TCP_USER_TIMEOUT", err)
		}
	}
	if a.choice == ExplicitPort {
		return a.explicit(ctx, fd)
	}
	if a.pair.source.addr.IsValid() {
		if a.core.has.lateBind {
			// No error matters: a socket that does not know the option is bound
			// with a port.
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		}
		if err := a.bind(fd, 0); err != nil {
			return err
		}
	}
	if a.choice == MovingWindow {
		return a.windows(fd)
	}
	return a.anywhere(fd)
}

// anywhere has the kernel choose out of the whole range, or out of Dialer.Ports.
func (a *attempt) anywhere(fd int) error {
	if narrowed := a.core.dialer.Ports.set(); narrowed || a.whole {
		if err := choosePorts(fd, a.set.ports); err != nil && narrowed {
			return fmt.Errorf("keep to the ports %v: %w", a.set.ports,
				os.NewSyscallError("setsockopt IP_LOCAL_PORT_RANGE", err))
		}
	}
	return a.judge(fd, connectTo(fd, a.to.addr))
}

// bind gives the socket its source address. The errno decides as connect's does, but means
// another thing.
func (a *attempt) bind(fd int, port uint16) error {
	err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(a.from(), port)))
	switch err {
	case nil:
		return nil
	case unix.EADDRNOTAVAIL:
		return a.turnAway(lost)
	case unix.EADDRINUSE:
		return a.turnAway(inUse)
	}
	return os.NewSyscallError("bind", err)
}

// from is the address to bind: any of the family when the kernel chooses.
func (a *attempt) from() netip.Addr {
	switch {
	case a.pair.source.addr.IsValid():
		return a.pair.source.addr
	case a.to.addr.Addr().Is4():
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (a *attempt) turnAway(v verdict) error {
	a.verdict = v
	return errTurnedAway
}

// windows connects from the window that is being filled, from the next ones when that is
// full, and last from the whole range.
func (a *attempt) windows(fd int) error {
	for range windowTries {
		w, whole, ok := a.to.window(a.pair, a.set)
		if !ok {
			return a.turnAway(noPort)
		}
		if whole {
			break
		}
		if choosePorts(fd, a.set.even(w)) != nil {
			return a.anywhere(fd)
		}
		if err := connectTo(fd, a.to.addr); err != unix.EADDRNOTAVAIL {
			return a.judge(fd, err)
		}
		a.to.windowFull(a.pair, w, a.set)
	}
	a.whole = true
	return a.anywhere(fd)
}

// choosePorts narrows the kernel's choice (IP_LOCAL_PORT_RANGE). A socket may not know the
// option that another one knows: MPTCP's did not at first.
func choosePorts(fd int, r PortRange) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE,
		int(uint32(r.High)<<16|uint32(r.Low)))
}

// judge gives connect's errno its meaning.
func (a *attempt) judge(fd int, err error) error {
	switch err {
	case nil, unix.EINPROGRESS, unix.EINTR:
		return nil
	case unix.EADDRNOTAVAIL:
		if !a.pair.source.addr.IsValid() && unsourced(a.to.addr) {
			return &sourceError{
				what: a.to.addr.Addr().String(),
				lost: true,
				err:  os.NewSyscallError("connect", err),
			}
		}
		return a.turnAway(noPort)
	}
	return os.NewSyscallError("connect", err)
}

// unsourced tells the other reason of EADDRNOTAVAIL: the host has no address of the family
// to send from (net/ipv6/ip6_output.c ip6_dst_lookup_tail). A UDP socket that is connected
// sends nothing and needs no port of TCP's.
func unsourced(to netip.AddrPort) bool {
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return connectTo(fd, to) == unix.EADDRNOTAVAIL
}

// explicit binds ports chosen here until one can be had.
func (a *attempt) explicit(ctx context.Context, fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	for range a.set.capacity {
		port, ok := a.to.port(a.pair, a.set)
		if !ok {
			return a.turnAway(noPort)
		}
		a.port = port
		if err := a.bind(fd, uint16(port)); err == nil {
			return a.connectPort(fd)
		} else if a.verdict != inUse || err != errTurnedAway {
			return err
		}
		a.unport()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errTurnedAway
}

// connectPort connects a socket whose port was chosen here: EADDRNOTAVAIL means that this
// very connection exists, maybe in TIME_WAIT.
func (a *attempt) connectPort(fd int) error {
	err := connectTo(fd, a.to.addr)
	if err == unix.EADDRNOTAVAIL {
		return a.turnAway(taken)
	}
	return a.judge(fd, err)
}

// unport gives back the port that is held for a socket that came to nothing.
func (a *attempt) unport() {
	if a.port != 0 {
		a.to.unport(a.pair, a.port)
		a.port = 0
	}
}

func connectTo(fd int, to netip.AddrPort) error { return unix.Connect(fd, sockaddr(to)) }

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(),
		ZoneId: zoneID(a.Addr().Zone())}
}

// zoneID is the index of a device, given by name or number; 0 for none.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if device, err := net.InterfaceByName(zone); err == nil {
		return uint32(device.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}

// States of a socket (include/net/tcp_states.h).
const (
	stateEstablished = 1
	stateFinWait1    = 4
	stateFinWait2    = 5
	stateClose       = 7
)

// lingers tells whether closing leaves the port in TIME_WAIT on this side: unless the peer
// closed first. A socket whose connection is in TIME_WAIT already is in state CLOSE itself
// (net/ipv4/tcp_minisocks.c tcp_time_wait).
func lingers(conn *net.TCPConn, halved bool) bool {
	switch state(conn) {
	case stateEstablished, stateFinWait1, stateFinWait2:
		return true
	case stateClose:
		return halved
	}
	return false
}

// whole tells whether neither side has closed: who does so second never has TIME_WAIT
// (CLOSE_WAIT, LAST_ACK, CLOSE).
func whole(conn *net.TCPConn) bool { return state(conn) == stateEstablished }

// state is that of a connection, or -1.
func state(conn *net.TCPConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1
	}
	state := -1
	raw.Control(func(fd uintptr) { state = stateOf(int(fd)) })
	return state
}

// stateOf reads the first byte of TCP_INFO.
func stateOf(fd int) int {
	word, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return -1
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(word))
	return int(b[0])
}
