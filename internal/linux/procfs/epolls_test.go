package procfs_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEpolls(t *testing.T) {
	count := func() int {
		f := files(t, open(t, os.Getpid()))
		if _, complete, err := f.Sockets(0, func(int, uint32) bool {
			return true
		}); err != nil || !complete {
			t.Fatal(complete, err)
		}
		return f.Counts().Epolls
	}
	before := count()
	for range 3 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
	if n := count(); n != before+3 {
		t.Errorf("%d epoll instances, want %d", n, before+3)
	}
}
