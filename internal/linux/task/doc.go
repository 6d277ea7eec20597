//go:build linux

// Package task makes tasks until the kernel refuses one, to see where it does
// (kernel/fork.c copy_process).
//
// The tasks are copies of this process that never return to Go: they do nothing but wait to
// be killed, and die with their parent. Their maker, too, is such a copy, so that a limit
// on tasks cannot hit the Go runtime, which aborts when it is refused a thread.
package task
