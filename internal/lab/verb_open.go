//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// opening collects what comes of opening many sockets.
type opening struct {
	fds      []int
	out      Opened
	deadline time.Time
}

func startOpening(d time.Duration) *opening {
	return &opening{out: Opened{Errors: map[string]int{}}, deadline: time.Now().Add(within(d))}
}

func (o *opening) left() time.Duration { return time.Until(o.deadline) }

// note counts one attempt. fd is kept when err is nil.
func (o *opening) note(fd int, err error) {
	o.out.Attempted++
	if err != nil {
		o.out.Errors[errnoName(err)]++
		return
	}
	o.fds = append(o.fds, fd)
	if len(o.out.Local) < maxLocal {
		if addr, err := localAddr(fd); err == nil {
			o.out.Local = append(o.out.Local, addr)
		}
	}
}

func (o *opening) finish(w *worker) Opened {
	o.out.Group, o.out.Count = w.keep(o.fds), len(o.fds)
	return o.out
}

type listening struct {
	Group Group          `json:"group"`
	Addr  netip.AddrPort `json:"addr"`
}

func listen(w *worker, spec ListenSpec) (listening, error) {
	fd, err := openListener(spec)
	if err != nil {
		return listening{}, fmt.Errorf("listen %v: %w", spec.Addr, err)
	}
	addr, err := localAddr(fd)
	if err != nil {
		syscall.Close(fd)
		return listening{}, err
	}
	return listening{w.keep([]int{fd}), addr}, nil
}

type listeners struct {
	Spec ListenSpec `json:"spec"`
	N    int        `json:"n"`
}

// listenMany opens sockets that listen alike; the kernel's refusals are noted.
func listenMany(w *worker, l listeners) (Opened, error) {
	o := startOpening(maxWithin)
	for range count(l.N) {
		if o.left() <= 0 {
			break
		}
		fd, err := openListener(l.Spec)
		o.note(fd, err)
	}
	return o.finish(w), nil
}

func openListener(spec ListenSpec) (fd int, err error) {
	if !spec.Addr.IsValid() {
		return 0, syscall.EINVAL
	}
	protocol := syscall.IPPROTO_TCP
	if spec.MPTCP {
		protocol = ipProtoMPTCP
	}
	if fd, err = streamSocket(spec.Addr.Addr(), 0, protocol); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	if err = setBool(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, true); err != nil {
		return fd, err
	}
	if err = setBool(fd, syscall.SOL_SOCKET, soReusePort, spec.ReusePort); err != nil {
		return fd, err
	}
	if err = setBool(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, spec.V6Only); err != nil {
		return fd, err
	}
	if err = syscall.Bind(fd, sockaddr(spec.Addr)); err != nil {
		return fd, err
	}
	if err = deferAccept(fd, spec.Defer); err != nil {
		return fd, err
	}
	return fd, syscall.Listen(fd, spec.Backlog)
}

func deferAccept(fd, seconds int) error {
	if seconds == 0 {
		return nil
	}
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, seconds)
}

// acceptSlice is how long one accept may wait before the deadline is looked at.
const acceptSlice = 100 * time.Millisecond

func accept(w *worker, spec AcceptSpec) (Opened, error) {
	listener, err := w.listener(spec.Listener)
	if err != nil {
		return Opened{}, err
	}
	if err := setTimeout(listener, syscall.SO_RCVTIMEO, acceptSlice); err != nil {
		return Opened{}, err
	}
	o := startOpening(spec.Within)
	for o.out.Attempted < count(spec.N) {
		fd, err := acceptBefore(listener, o.deadline)
		o.note(fd, err)
		if err != nil && err != syscall.ECONNABORTED {
			break
		}
	}
	return o.finish(w), nil
}

// acceptBefore waits for one connection; EAGAIN is a deadline that passed.
func acceptBefore(listener int, deadline time.Time) (fd int, err error) {
	for {
		err = eintr(func() (err error) {
			fd, _, err = syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
			return err
		})
		if err != syscall.EAGAIN || time.Now().After(deadline) {
			return fd, err
		}
	}
}

func connect(w *worker, spec ConnectSpec) (Opened, error) {
	if !spec.To.IsValid() {
		return Opened{}, fmt.Errorf("connect to %v: %w", spec.To, syscall.EINVAL)
	}
	o := startOpening(spec.Within)
	for range count(spec.N) {
		left := o.left()
		if left <= 0 {
			break
		}
		o.note(connectOne(spec, left))
	}
	return o.finish(w), nil
}

func connectOne(spec ConnectSpec, left time.Duration) (fd int, err error) {
	flags := 0
	if spec.NonBlocking {
		flags = syscall.SOCK_NONBLOCK
	}
	if fd, err = tcpSocket(spec.To.Addr(), flags); err != nil {
		return -1, err
	}
	if err = prepare(fd, spec, left); err == nil {
		err = connectFD(fd, sockaddr(spec.To))
	}
	if err == syscall.EINPROGRESS && spec.NonBlocking {
		err = nil
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

func prepare(fd int, spec ConnectSpec, left time.Duration) error {
	if !spec.NonBlocking {
		if err := setTimeout(fd, syscall.SO_SNDTIMEO, left); err != nil {
			return err
		}
	}
	if err := setBool(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR,
		spec.ReuseAddr); err != nil {
		return err
	}
	if err := setBool(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, spec.NoPort); err != nil {
		return err
	}
	if !spec.From.IsValid() {
		return nil
	}
	return syscall.Bind(fd, sockaddr(spec.From))
}

// connectFD goes on with a connect that a signal interrupted; one that was
// finished meanwhile says EISCONN (connect(2)).
func connectFD(fd int, to syscall.Sockaddr) error {
	err := syscall.Connect(fd, to)
	for err == syscall.EINTR {
		if err = syscall.Connect(fd, to); err == syscall.EISCONN {
			return nil
		}
	}
	return err
}

func bind(w *worker, spec BindSpec) (Opened, error) {
	o := startOpening(maxWithin)
	for range count(spec.N) {
		if o.left() <= 0 {
			break
		}
		o.note(bindOne(spec))
	}
	return o.finish(w), nil
}

func bindOne(spec BindSpec) (int, error) {
	fd, err := tcpSocket(spec.Addr.Addr(), 0)
	if err != nil {
		return -1, err
	}
	err = setBool(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, spec.ReuseAddr)
	if err == nil && spec.Addr.IsValid() {
		err = syscall.Bind(fd, sockaddr(spec.Addr))
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

type closing struct {
	Group Group     `json:"group"`
	Spec  CloseSpec `json:"spec"`
}

// counted is the number of descriptors that a verb dealt with.
type counted struct {
	Count int `json:"count"`
}

func closeSockets(w *worker, c closing) (counted, error) {
	fds, err := w.group(c.Group)
	if err != nil {
		return counted{}, err
	}
	n := len(fds)
	if c.Spec.N > 0 {
		n = min(n, c.Spec.N)
	}
	for _, fd := range fds[:n] {
		if c.Spec.Reset {
			syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER,
				&syscall.Linger{Onoff: 1})
		}
		syscall.Close(fd)
	}
	w.groups[c.Group] = fds[n:]
	if n == len(fds) {
		delete(w.groups, c.Group)
	}
	return counted{n}, nil
}

// shutdown sends the FIN and keeps the descriptors.
func shutdown(w *worker, g Group) (counted, error) {
	fds, err := w.group(g)
	if err != nil {
		return counted{}, err
	}
	done := 0
	for _, fd := range fds {
		if syscall.Shutdown(fd, syscall.SHUT_WR) == nil {
			done++
		}
	}
	return counted{done}, nil
}

func states(w *worker, g Group) (map[string]int, error) {
	fds, err := w.group(g)
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, fd := range fds {
		info, err := readTCPInfo(fd)
		if err != nil {
			out[errnoName(err)]++
			continue
		}
		out[sockdiag.State(info.state).String()]++
	}
	return out, nil
}

func queue(w *worker, g Group) (Queue, error) {
	fd, err := w.listener(g)
	if err != nil {
		return Queue{}, err
	}
	info, err := readTCPInfo(fd)
	return Queue{Used: int(info.unacked), Limit: int(info.sacked)}, err
}
