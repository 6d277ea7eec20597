//go:build !linux && !plan9

package listen

import "syscall"

// pendingErrors are those of one connection.
var pendingErrors = []error{syscall.ECONNABORTED}
