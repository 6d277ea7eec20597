package dial

import "golang.org/x/sys/windows"

// Winsock's numbers; syscall.EADDRNOTAVAIL is one that Go made up.
const (
	errAddrInUse    = windows.WSAEADDRINUSE
	errAddrNotAvail = windows.WSAEADDRNOTAVAIL
)
