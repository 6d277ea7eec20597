//go:build !linux

package listen

import "syscall"

// pendingErrors are those of one connection.
var pendingErrors = []error{syscall.ECONNABORTED}
