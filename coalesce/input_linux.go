package coalesce

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// input waits for what arrives on a connection.
type input interface {
	// await returns how many bytes can be read without waiting, and 0 at the end.
	await() (int64, error)
}

type socketInput struct {
	raw  syscall.RawConn
	n    int
	err  error
	look func(fd uintptr) bool
}

// rawInput is nil where the kernel cannot move bytes from r.
func rawInput(r io.Reader) input {
	c, ok := r.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	in := &socketInput{raw: raw}
	in.look = in.arrived
	return in
}

func (in *socketInput) await() (int64, error) {
	in.n, in.err = 0, nil
	if err := in.raw.Read(in.look); err != nil {
		return 0, bareError(err)
	}
	return int64(in.n), in.err
}

// arrived reports whether there is input, or the end of it.
func (in *socketInput) arrived(fd uintptr) bool {
	if in.n, in.err = unix.IoctlGetInt(int(fd), unix.SIOCINQ); in.n > 0 || in.err != nil {
		in.err = os.NewSyscallError("ioctl", in.err)
		return true
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	return n > 0 || err != nil && err != unix.EINTR
}
