//go:build linux

package bpf_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
)

// BenchmarkConnect is what a connection costs, opened and reset, with and without a trace; both in
// turn, because the machine is not the same from one second to the next.
func BenchmarkConnect(b *testing.B) {
	for range 5 {
		b.Run("plain", connects)
		b.Run("traced", func(b *testing.B) {
			r, err := bpf.NewRefusals(bpf.RefusalOptions{})
			if err != nil {
				b.Skip(err)
			}
			defer r.Close()
			connects(b)
		})
	}
}

// connects opens connections in a network namespace of its own.
func connects(b *testing.B) {
	if err := netns.Fresh(func() error {
		p, err := newPair()
		if err != nil {
			return err
		}
		defer p.close()
		begun := threadTime()
		for b.Loop() {
			if err := p.once(); err != nil {
				return err
			}
		}
		b.ReportMetric(float64(threadTime()-begun)/float64(b.N), "cpu-ns/op")
		return nil
	}); err != nil {
		b.Skip(err)
	}
}

// threadTime is the processor time of this thread, on which both ends of loopback run, in
// nanoseconds.
func threadTime() int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now) != nil {
		return 0
	}
	return now.Nano()
}

// pair is a listener, and where it is.
type pair struct {
	listener int
	at       unix.Sockaddr
}

func newPair() (p pair, err error) {
	if err := up(); err != nil {
		return p, err
	}
	p.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, err
	}
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(p.listener, loopback); err != nil {
		return p, err
	}
	if err := unix.Listen(p.listener, 64); err != nil {
		return p, err
	}
	p.at, err = unix.Getsockname(p.listener)
	return p, err
}

// up brings lo up.
func up() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

func (p pair) close() { unix.Close(p.listener) }

// once opens a connection and resets it, so that no port stays in TIME_WAIT.
func (p pair) once() error {
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	if err := unix.Connect(client, p.at); err != nil {
		return err
	}
	server, _, err := unix.Accept4(p.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(server)
	return unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER,
		&unix.Linger{Onoff: 1})
}
