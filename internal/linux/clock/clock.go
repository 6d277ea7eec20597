//go:build linux

// Package clock reads the kernel's clocks that package time does not: the CPU time of
// a thread, and how long a timer tick is.
package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Thread is the CPU time that the calling thread has used, with what the kernel did on its
// behalf. It is exact to the nanosecond on all kernels (kernel/time/posix-cpu-timers.c,
// sum_exec_runtime). The caller must be locked to its thread.
func Thread() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of this thread: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Process is the CPU time that all threads of this process have used.
func Process() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of this process: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Tick is the time between two timer ticks, 1/CONFIG_HZ: what the coarse clock resolves
// (kernel/time/posix-timers.c posix_get_coarse_res).
func Tick() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &t); err != nil {
		return 0, fmt.Errorf("read the length of a timer tick: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
