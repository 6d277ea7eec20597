//go:build !plan9

package dial

import "syscall"

// errNoPortNumber is the errno that ErrPortsExhausted stands for. On Windows it is one that
// Go made up.
const errNoPortNumber = syscall.EADDRNOTAVAIL

// lackingErrors: the process or the system has run out of something, and a later call may
// do better.
var lackingErrors = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
