//go:build !linux

package listen

import (
	"sync/atomic"
	"syscall"
)

// reserve is not held: accepting without package net takes system calls that differ from
// system to system.
type reserve struct{ wanted bool }

func discardInput(syscall.RawConn) {}

func (r *reserve) open()  {}
func (r *reserve) close() {}

func (r *reserve) refuse(syscall.RawConn, []byte, *atomic.Uint64) refusal { return reserveLost }
