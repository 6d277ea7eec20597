//go:build linux

// Package tune is the only writer of kernel state: settings, devices, addresses,
// routes and resource limits. Only internal/apply and internal/lab may import it,
// so that observing, judging and showing have no path to a writer
// (internal/archtest holds the tree to that).
//
// Everything is written in the network namespace of the calling thread, so a
// caller that has entered one locks its goroutine to the thread. A write is read
// back; the kernel keeping another value is an error.
package tune
