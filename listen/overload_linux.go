package listen

import "syscall"

// pendingErrors are those that accept(2) passes on from a connection, and says to treat
// like EAGAIN. EOPNOTSUPP, which is also what a socket says that does not listen, and
// EPERM, which a seccomp filter may say forever, are not among them.
var pendingErrors = []error{
	syscall.ECONNABORTED, syscall.EPROTO, syscall.ENETDOWN, syscall.ENOPROTOOPT,
	syscall.EHOSTDOWN, syscall.ENONET,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH,
}
