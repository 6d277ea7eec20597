package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Files gives duplicates of the listening sockets, one for each shard, to pass on to a
// successor ([os/exec.Cmd.ExtraFiles], [net.FileListener], [Config.Adopt]). The caller
// closes them. From then on Close leaves the sockets open for other processes that hold
// them, as it does after Adopt, and the file of a Unix socket stays.
//
// On Linux, unlike those of package net's File method, the duplicates do not become
// blocking when their Fd method is called: that would hold for this Listener too, and
// neither Close nor a deadline could end its Accept. Once Close has begun the error is
// net.ErrClosed.
func (l *Listener) Files() ([]*os.File, error) {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.leaving { // a successor would get a socket that takes no clients
		return nil, l.fail("files", net.ErrClosed)
	}
	var files []*os.File
	for _, s := range l.shards {
		f, err := s.file()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, l.fail("files", err)
		}
		files = append(files, f)
	}
	l.shared.Store(true)
	return files, nil
}

// File gives a duplicate of the listening socket, as Files does, for programs that know that of
// *net.TCPListener. With several shards it fails: one of them would take away its share of clients.
func (l *Listener) File() (*os.File, error) {
	if err := l.alone("file"); err != nil {
		return nil, err
	}
	files, err := l.Files()
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// SyscallConn gives access to the socket, as that of *net.TCPListener does: Control works,
// Read and Write do not. With several shards it fails. When the function given to Control
// has duplicated the descriptor (as github.com/cloudflare/tableflip does), Close treats the
// socket from then on as one that others hold too: see [Listener.Files]. A descriptor that
// it passes on without duplicating it is not seen; use Files for that.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if err := l.alone("syscallconn"); err != nil {
		return nil, err
	}
	if l.closing.Load() {
		return nil, l.fail("syscallconn", net.ErrClosed)
	}
	return watched{l.shards[0].raw, l.shards[0]}, nil
}

// watched is a RawConn that notices duplicates.
type watched struct {
	syscall.RawConn
	shard *shard
}

func (w watched) Control(f func(fd uintptr)) error {
	err := w.RawConn.Control(f)
	own := 1
	if w.shard.bell != nil {
		own++
	}
	if n := descriptors(w.RawConn); n == Unknown || n > own {
		w.shard.l.shared.Store(true)
	}
	return err
}

// SetUnlinkOnClose says whether Close removes the file of a Unix socket, as that of
// *net.UnixListener does. For TCP it does nothing.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	for _, s := range l.shards {
		s.unlinkOnClose(unlink)
	}
}

// alone fails where there are several sockets.
func (l *Listener) alone(op string) error {
	if len(l.shards) == 1 {
		return nil
	}
	return l.fail(op, fmt.Errorf("%d shards, use Files: %w", len(l.shards),
		errors.ErrUnsupported))
}
