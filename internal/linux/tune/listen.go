//go:build linux

package tune

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listen calls listen(2) again on a socket that listens already, which changes the limit of
// its accept queue at once, both ways, and keeps what is queued (net/ipv4/af_inet.c
// inet_listen). The kernel keeps min(backlog, somaxconn of the socket's namespace); then
// the error says what was kept. A socket that does not listen is refused with EINVAL and
// stays as it is.
//
// The limit is read back with getsockopt(TCP_INFO), where tcpi_sacked is the limit of a
// listener (net/ipv4/tcp.c tcp_get_info).
func Listen(socket *os.File, backlog uint32) error {
	fail := &Error{
		Op:      "listen() again on",
		Subject: socket.Name(),
		Want:    strconv.FormatUint(uint64(backlog), 10),
	}
	conn, err := socket.SyscallConn()
	if err != nil {
		fail.Err = err
		return fail
	}
	if ctlErr := conn.Control(func(fd uintptr) {
		err = listen(int(fd), backlog, fail)
	}); ctlErr != nil {
		fail.Err = ctlErr
		return fail
	}
	return err
}

func listen(fd int, backlog uint32, fail *Error) error {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening == 0 {
		err = fmt.Errorf("the socket does not listen: %w", unix.EINVAL)
	}
	if err == nil {
		err = unix.Listen(fd, int(int32(backlog))) // the kernel compares without a sign
	}
	if err != nil {
		fail.Err = err
		return fail
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		fail.Op, fail.Err = "read back the limit of", err
		return fail
	}
	if info.Sacked != backlog {
		fail.Got = strconv.FormatUint(uint64(info.Sacked), 10)
		return fail
	}
	return nil
}
