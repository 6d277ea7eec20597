//go:build unix

package coalesce

import (
	"syscall"
	"testing"
)

func init() {
	around["SyscallConn.Write"] = rawWrite
	around["SyscallConn.Control"] = rawControl
}

func rawWrite(t *testing.T, c *Conn, body string) (err error) {
	raw := rawOf(t, c)
	failed := raw.Write(func(fd uintptr) bool {
		_, err = syscall.Write(int(fd), []byte(body))
		return err != syscall.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return err
}

func rawControl(t *testing.T, c *Conn, body string) (err error) {
	raw := rawOf(t, c)
	if failed := raw.Control(func(fd uintptr) {
		_, err = syscall.Write(int(fd), []byte(body))
	}); failed != nil {
		return failed
	}
	return err
}

func rawOf(t *testing.T, c *Conn) syscall.RawConn {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
