//go:build linux

// Package load opens and holds TCP connections, as many and as fast as the kernel
// allows, and says what it reached: the instrument behind prove and the verb load.
//
//	Connect  opens connections to any TCP server
//	Serve    is such a server: it accepts, holds, answers
//	Pair     is both ends in one process
//
// Each returns a Report (schema maxconn.load/1) and none needs the command line,
// signals or a terminal. The process must be in the network namespace that is to be
// loaded, and several runs in one process at a time share its CPU figures.
//
// A connection is a descriptor number and nothing else: no goroutine, no net.Conn, no
// buffer. Workers are goroutines locked to threads that call the kernel directly (package
// fastsock). Each has a descriptor table of its own (unshare(CLONE_FILES)), so that the limit
// of descriptors binds for one worker; a lane is the succession of workers that
// opens connections on one CPU: when the table of one is full it goes on holding, and
// the next one opens. The program chooses source address and port itself (space), because
// connect() searches half a port range in vain once that is full.
//
// Failures never end a run. They are counted by errno and phase, with the
// time and the number of open connections at which each first appeared.
package load
