//go:build linux

package lab

import (
	"net/netip"
	"syscall"
)

// DatagramSpec describes UDP datagrams, sent one after the other without a pause.
type DatagramSpec struct {
	To   netip.AddrPort `json:"to"`
	N    int            `json:"n"`    // 0 means 1
	Size int            `json:"size"` // bytes of data
}

// SendDatagrams sends UDP datagrams and says how many the kernel took. It does not say so
// when a queue drops one.
func (a *Actor) SendDatagrams(spec DatagramSpec) (int, error) {
	var out counted
	err := a.control.call("datagrams", spec, &out, maxWithin)
	return out.Count, err
}

func sendDatagrams(_ *worker, spec DatagramSpec) (counted, error) {
	fd, err := syscall.Socket(family(spec.To.Addr()), syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC,
		0)
	if err != nil {
		return counted{}, err
	}
	defer syscall.Close(fd)
	// What waits in a slow queue must not hold up the sender.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF,
		1<<20); err != nil {
		return counted{}, err
	}
	out, body, to := counted{}, make([]byte, max(spec.Size, 0)), sockaddr(spec.To)
	for range count(spec.N) {
		if eintr(func() error {
			return syscall.Sendto(fd, body, syscall.MSG_DONTWAIT, to)
		}) == nil {
			out.Count++
		}
	}
	return out, nil
}
