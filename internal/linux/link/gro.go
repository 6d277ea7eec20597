//go:build linux

package link

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value (include/uapi/linux/ethtool.h).
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// ifreqData is struct ifreq with a pointer in it (include/uapi/linux/if.h).
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union may be larger than a pointer
}

// readGRO asks whether generic receive offload is on for a device of the calling
// thread's namespace. fd is any socket of that namespace. It needs no privilege.
func readGRO(fd int, name string) (bool, error) {
	value := &ethtoolValue{cmd: unix.ETHTOOL_GGRO}
	request := ifreqData{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return false, &Error{Op: "read", Subject: "gro of " + name, Err: errno}
	}
	return value.data != 0, nil
}
