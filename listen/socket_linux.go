package listen

import (
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	onLinux = true
	// A socket made by accept is a copy of the listener's, keep-alive settings included
	// (net/ipv4/tcp_minisocks.c tcp_create_openreq_child).
	inheritKeepAlive = true
)

// control runs f on the descriptor and gives its error.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if refused := raw.Control(func(fd uintptr) { err = f(int(fd)) }); refused != nil {
		return refused
	}
	return err
}

func setOption(raw syscall.RawConn, level, option, value int, name string) error {
	return control(raw, func(fd int) error {
		return os.NewSyscallError("setsockopt "+name,
			unix.SetsockoptInt(fd, level, option, value))
	})
}

func setReusePort(raw syscall.RawConn) error {
	return setOption(raw, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1, "SO_REUSEPORT")
}

// setDeferAccept takes whole seconds, rounded up; the kernel makes retransmissions of them
// (net/ipv4/tcp.c secs_to_retrans).
func setDeferAccept(raw syscall.RawConn, d time.Duration) error {
	return setOption(raw, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds(d),
		"TCP_DEFER_ACCEPT")
}

// setUserTimeout is inherited by what is accepted (net/ipv4/inet_connection_sock.c
// inet_csk_clone_lock copies icsk_user_timeout with the socket).
func setUserTimeout(raw syscall.RawConn, d time.Duration) error {
	ms := int((d + time.Millisecond - 1) / time.Millisecond)
	return setOption(raw, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms, "TCP_USER_TIMEOUT")
}

// seconds rounds up, and keeps the sign.
func seconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int((d + time.Second - 1) / time.Second)
}

// serverBit of net.ipv4.tcp_fastopen lets listeners take data in a SYN
// (include/net/tcp.h TFO_SERVER_ENABLE). setsockopt does not look at it.
const serverBit = 2

func setFastOpen(raw syscall.RawConn, n int) error {
	if v := sysctl("net/ipv4/tcp_fastopen"); v != Unknown && v&serverBit == 0 {
		return fmt.Errorf(
			"fast open: net.ipv4.tcp_fastopen is %d, without bit %d for servers "+
				"the kernel ignores it", v, serverBit)
	}
	if err := setOption(raw, unix.IPPROTO_TCP, unix.TCP_FASTOPEN, n,
		"TCP_FASTOPEN"); err != nil {
		return err
	}
	got := Unknown
	err := control(raw, func(fd int) (err error) {
		got, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN)
		return os.NewSyscallError("getsockopt TCP_FASTOPEN", err)
	})
	if err == nil && got < n { // net/ipv4/tcp.c fastopen_queue_tune: min(n, somaxconn)
		return &BacklogError{Queue: "fast open queue", Asked: n, Got: got,
			Somaxconn: somaxconn()}
	}
	return err
}

// setKeepAlive follows package net (tcpsockopt_unix.go): 0 is the default, negative leaves
// the kernel's.
func setKeepAlive(raw syscall.RawConn, c Config) error {
	k := c.KeepAliveConfig
	if c.Multipath || !k.Enable && c.KeepAlive < 0 {
		return nil
	}
	if !k.Enable {
		k = net.KeepAliveConfig{Idle: c.KeepAlive}
	}
	if err := setOption(raw, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1,
		"SO_KEEPALIVE"); err != nil {
		return err
	}
	const probes, interval = 9, 15 * time.Second
	for _, o := range []struct {
		option, value int
		name          string
	}{
		{unix.TCP_KEEPIDLE, orDefault(seconds(k.Idle), seconds(interval)), "TCP_KEEPIDLE"},
		{unix.TCP_KEEPINTVL, orDefault(seconds(k.Interval), seconds(interval)),
			"TCP_KEEPINTVL"},
		{unix.TCP_KEEPCNT, orDefault(k.Count, probes), "TCP_KEEPCNT"},
	} {
		if o.value < 0 {
			continue
		}
		if err := setOption(raw, unix.IPPROTO_TCP, o.option, o.value, o.name); err != nil {
			return err
		}
	}
	return nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// duplicate gives a socket a second descriptor. That of (*net.TCPListener).File makes the
// socket, which is one for both, blocking once its Fd is called, as os/exec does. Accept
// would then sit in accept(2), where Close cannot wake it. os.NewFile leaves a descriptor
// that does not block as it is.
func duplicate(s socket, raw syscall.RawConn) (*os.File, error) {
	var dup int
	err := control(raw, func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), s.Addr().Network()+":"+s.Addr().String()), nil
}

// descriptors counts those of this process for a socket, or gives Unknown.
func descriptors(raw syscall.RawConn) int {
	var is unix.Stat_t
	if control(raw, func(fd int) error { return unix.Fstat(fd, &is) }) != nil {
		return Unknown
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return Unknown
	}
	n, name := 0, fmt.Sprintf("socket:[%d]", is.Ino) // net/socket.c sockfs_dname
	for _, e := range all {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to == name {
			n++
		}
	}
	return n
}

// relisten calls listen(2) on a socket that listens: only the limit of its queue changes
// (net/ipv4/af_inet.c inet_listen, net/unix/af_unix.c unix_listen).
func relisten(raw syscall.RawConn, backlog int) error {
	if backlog == 0 {
		backlog = math.MaxInt32
	}
	return control(raw, func(fd int) error {
		return os.NewSyscallError("listen", unix.Listen(fd, backlog))
	})
}

// readQueue asks the socket itself. TCP_INFO of a listener has the length of the accept
// queue in tcpi_unacked and its limit in tcpi_sacked (net/ipv4/tcp.c tcp_get_info).
func readQueue(raw syscall.RawConn) queue {
	q := queue{queued: Unknown, limit: Unknown, drops: Unknown}
	control(raw, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.State != unix.BPF_TCP_LISTEN {
			return err
		}
		q.queued, q.limit = int(info.Unacked), int(info.Sacked)
		// An MPTCP socket has a TCP one inside, which does the counting.
		if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET,
			unix.SO_PROTOCOL); err == nil && protocol == unix.IPPROTO_TCP {
			q.drops = drops(fd)
		}
		if secs, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP,
			unix.TCP_DEFER_ACCEPT); err == nil {
			q.deferAccept = time.Duration(secs) * time.Second
		}
		if n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP,
			unix.TCP_FASTOPEN); err == nil {
			q.fastOpen = n
		}
		return nil
	})
	return q
}

// drops reads sk_drops, a 32-bit counter that wraps (SO_MEMINFO, Linux 4.12, a2d133b1d465;
// net/core/sock.c sk_get_meminfo). For a listener it counts what tcp_listendrop does.
func drops(fd int) int64 {
	var info [unix.SK_MEMINFO_DROPS + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET,
		unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(info)) {
		return Unknown
	}
	return int64(info[unix.SK_MEMINFO_DROPS])
}

// ready says whether accept would find something.
func ready(raw syscall.RawConn) bool {
	is := false
	control(raw, func(fd int) error {
		is = readyFd(fd)
		return nil
	})
	return is
}

// readyFd is true too for a socket that is broken: accept has the error.
func readyFd(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1
}

// ignoreHandshakes keeps new clients out, and lets handshakes end which have begun. Best is
// a filter; where a kernel does not allow it without CAP_NET_ADMIN (seen with 6.18.44), a
// device.
func ignoreHandshakes(raw syscall.RawConn) error {
	err := dropHandshakes(raw)
	if err == unix.EPERM {
		return refuseHandshakes(raw)
	}
	return err
}

// refuseHandshakes binds the socket to a device that does not exist, so that the kernel
// finds no listener for a new client and refuses it. What handshakes have begun are found
// without the listener, and their connections get the device of their first segment
// (net/ipv4/inet_hashtables.c compute_score, net/ipv4/tcp_ipv4.c tcp_v4_syn_recv_sock).
// Since Linux 5.7 this takes no privileges (c427bfec18f2).
func refuseHandshakes(raw syscall.RawConn) error {
	return control(raw, func(fd int) error {
		if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET,
			unix.SO_PROTOCOL); err != nil || protocol != unix.IPPROTO_TCP {
			return unix.EOPNOTSUPP
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, math.MaxInt32)
	})
}

// dropHandshakes attaches a filter that drops SYN segments and nothing else
// (net/ipv4/tcp_ipv4.c tcp_v4_rcv runs the listener's filter on every segment). The data
// begins with the TCP header.
func dropHandshakes(raw syscall.RawConn) error {
	const flags, syn, ack = 13, 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: math.MaxUint32},
	}
	return control(raw, func(fd int) error {
		if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET,
			unix.SO_PROTOCOL); err != nil || protocol != unix.IPPROTO_TCP {
			return unix.EOPNOTSUPP
		}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
}

// heedHandshakes takes the filter off a connection that got a copy of it: a peer that lost
// its state and calls again from the same port must get an answer (RFC 5961, 4).
func heedHandshakes(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	control(raw, func(fd int) error { // ENOENT: it had none
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
}
