//go:build !linux

package listen

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	onLinux          = false
	inheritKeepAlive = false
)

func setReusePort(syscall.RawConn) error                  { return errors.ErrUnsupported }
func setDeferAccept(syscall.RawConn, time.Duration) error { return errors.ErrUnsupported }
func setUserTimeout(syscall.RawConn, time.Duration) error { return errors.ErrUnsupported }
func setFastOpen(syscall.RawConn, int) error              { return errors.ErrUnsupported }
func relisten(syscall.RawConn, int) error                 { return errors.ErrUnsupported }
func ignoreHandshakes(syscall.RawConn) error              { return errors.ErrUnsupported }
func setKeepAlive(syscall.RawConn, Config) error          { return nil } // package net does it
func heedHandshakes(net.Conn)                             {}

// so Close does not drain
func ready(syscall.RawConn) bool      { return false }
func descriptors(syscall.RawConn) int { return Unknown }
func readyFd(int) bool                { return true }
func somaxconn() int                  { return Unknown }
func migrateReq() int                 { return Unknown }

// duplicate is package net's. Both kinds of socket have it.
func duplicate(s socket, _ syscall.RawConn) (*os.File, error) {
	return s.(interface{ File() (*os.File, error) }).File()
}

func readQueue(syscall.RawConn) queue {
	return queue{queued: Unknown, limit: Unknown, drops: Unknown}
}
