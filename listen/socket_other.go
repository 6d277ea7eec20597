//go:build !linux

package listen

import (
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	onLinux          = false
	inheritKeepAlive = false
)

func setReusePort(syscall.RawConn) error                  { return errors.ErrUnsupported }
func setDeferAccept(syscall.RawConn, time.Duration) error { return errors.ErrUnsupported }
func setFastOpen(syscall.RawConn, int) error              { return errors.ErrUnsupported }
func relisten(syscall.RawConn, int) error                 { return errors.ErrUnsupported }
func ignoreHandshakes(syscall.RawConn) error              { return errors.ErrUnsupported }
func setKeepAlive(syscall.RawConn, Config) error          { return nil } // package net does it
func heedHandshakes(net.Conn)                             {}
func ready(syscall.RawConn) bool                          { return false } // so Close does not drain
func somaxconn() int                                      { return Unknown }
func migrateReq() int                                     { return Unknown }

func readQueue(syscall.RawConn) queue {
	return queue{queued: Unknown, limit: Unknown, drops: Unknown}
}
