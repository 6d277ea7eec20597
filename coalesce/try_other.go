//go:build !linux

package coalesce

import (
	"net"
	"syscall"
)

// rawConn is nil: elsewhere than on Linux the flusher does all writes that
// might block.
func rawConn(net.Conn) syscall.RawConn { return nil }

// attempt is never used without a raw connection.
type attempt struct{ calls int64 }

func (*attempt) bind() {}

func (*attempt) write(*Conn, []byte) (int, error) { return 0, nil }

func (*attempt) push(*Conn, [][]byte) (int, error) { return 0, nil }
