//go:build !plan9

package listen

import "syscall"

var (
	// noFileErrors: the process or the system has no descriptor left.
	noFileErrors = []error{syscall.EMFILE, syscall.ENFILE}
	// lackingErrors: something else ran out. ENOSPC comes from adding the connection to epoll
	// (fs.epoll.max_user_watches); package net has closed it then.
	lackingErrors = []error{syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC}
)
