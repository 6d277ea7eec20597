//go:build linux

package lab

import (
	"syscall"
	"unsafe"
)

// Memory is what sockets have queued or hold in reserve for it, in bytes: what tcp_mem
// counts. It has nothing of the sockets themselves.
type Memory struct {
	Received int `json:"received"` // sk_rmem_alloc
	Queued   int `json:"queued"`   // sk_wmem_queued
	Reserved int `json:"reserved"` // sk_forward_alloc
}

// Total is the sum.
func (m Memory) Total() int { return m.Received + m.Queued + m.Reserved }

// Memory adds up SO_MEMINFO (Linux 4.12) of the sockets of a group.
func (a *Actor) Memory(g Group) (Memory, error) {
	var out Memory
	err := a.control.call("memory", g, &out, maxWithin)
	return out, err
}

// include/uapi/asm-generic/socket.h, include/uapi/linux/sock_diag.h enum sk_meminfo
const (
	soMemInfo  = 55
	memVars    = 9
	memRmem    = 0
	memForward = 4
	memQueued  = 5
)

func memory(w *worker, g Group) (sum Memory, err error) {
	fds, err := w.group(g)
	if err != nil {
		return sum, err
	}
	for _, fd := range fds {
		var v [memVars]uint32
		size := uint32(unsafe.Sizeof(v))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd),
			syscall.SOL_SOCKET, soMemInfo,
			uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return sum, errno
		}
		sum.Received += int(v[memRmem])
		sum.Queued += int(v[memQueued])
		sum.Reserved += int(v[memForward])
	}
	return sum, nil
}
