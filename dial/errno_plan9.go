package dial

import "syscall"

// Plan 9 has texts, not numbers (/sys/src/9/ip).
var (
	errAddrInUse    = syscall.NewError("address in use")
	errAddrNotAvail = syscall.NewError("no such local address")
	errNoPortNumber = syscall.NewError("no ports available")

	lackingErrors = []error{syscall.EMFILE}
)
