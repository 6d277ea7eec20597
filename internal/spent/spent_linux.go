package spent

import (
	"runtime"
	"syscall"
	"time"
)

// thread asks getrusage(2) for the calling thread (RUSAGE_THREAD, include/uapi/linux/resource.h).
const thread = 1

// processor is the time that this thread works; 0 where the kernel does not tell.
func processor(work func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := used()
	work()
	after, err2 := used()
	if err != nil || err2 != nil {
		return 0
	}
	return after - before
}

func used() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(thread, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
