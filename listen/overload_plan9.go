package listen

import "syscall"

// Plan 9 has texts, not numbers, and none for most of what can run out.
var (
	pendingErrors []error

	noFileErrors  = []error{syscall.EMFILE}
	lackingErrors []error
)
