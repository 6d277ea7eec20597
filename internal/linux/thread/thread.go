//go:build linux

// Package thread runs functions on threads of their own.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run starts do in a goroutine that is locked to its thread and never unlocked, so that the Go
// runtime ends the thread with it, and what do has unshared or joined is never seen by another
// goroutine. New threads are not cloned from such a thread either (runtime/proc.go
// startTemplateThread).
//
// The process's first thread is no such thread: the runtime cannot end it and parks it forever
// (runtime/proc.go mexit), and /proc/PID/ns/net, which is that thread's, would name a foreign
// namespace from then on.
func Run(do func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			do()
			return
		}
		elsewhere := make(chan struct{})
		go func() { // not here: this thread is taken
			runtime.LockOSThread()
			close(elsewhere)
			do()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}
