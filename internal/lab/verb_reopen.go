//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// ReopenSpec describes a connection that is closed, the connecting end first, and opened
// again until that works.
type ReopenSpec struct {
	Listen netip.AddrPort `json:"listen"` // both ends are the actor's
	// bound before connecting when valid, with SO_REUSEADDR when it has a port
	From   netip.AddrPort `json:"from"`
	Every  time.Duration  `json:"every"`  // between two attempts
	Within time.Duration  `json:"within"` // at most 1 min
}

// Reopened is what came of it.
type Reopened struct {
	Again bool `json:"again"` // whether it worked in time
	// After is the time from the close to the connect() that worked, or to the last
	// that failed.
	After time.Duration `json:"after"`
	// Failed is the time from the close to the last connect() that failed; 0 when none did.
	Failed time.Duration `json:"failed"`
	// Doubt is how well After is known: the time that the close took until the socket
	// was in TIME_WAIT, and that between the last two attempts.
	Doubt  time.Duration  `json:"doubt"`
	Errors map[string]int `json:"errors"`
}

// Reopen measures how long after a close the same source port can be used again. The lab's local
// port range decides how many ports there are: with one the answer is exact.
func (a *Actor) Reopen(spec ReopenSpec) (Reopened, error) {
	var out Reopened
	err := a.control.call("reopen", spec, &out, within(spec.Within)+churnTimeout)
	return out, err
}

func reopen(_ *worker, spec ReopenSpec) (Reopened, error) {
	listener, err := openListener(ListenSpec{Addr: spec.Listen, Backlog: 16})
	if err != nil {
		return Reopened{}, fmt.Errorf("listen %v: %w", spec.Listen, err)
	}
	defer syscall.Close(listener)
	one := ConnectSpec{
		To:        spec.Listen,
		From:      spec.From,
		ReuseAddr: spec.From.Port() != 0,
		NoPort:    spec.From.IsValid() && spec.From.Port() == 0,
	}
	closed, err := openAndClose(one, listener)
	if err != nil {
		return Reopened{}, fmt.Errorf("connect to %v: %w", spec.Listen, err)
	}
	settled, out := time.Since(closed), Reopened{Errors: map[string]int{}}
	for {
		out.After = time.Since(closed)
		fd, err := connectOne(one, churnTimeout)
		if err == nil {
			out.Again = true
			out.Doubt = settled + time.Since(closed) - out.Failed
			return out, syscall.Close(fd)
		}
		out.Errors[errnoName(err)]++
		out.Failed = out.After
		if out.After > within(spec.Within) {
			return out, nil
		}
		time.Sleep(max(spec.Every, time.Millisecond))
	}
}

// openAndClose leaves a TIME_WAIT on the connecting side and says when that can have begun.
// On loopback each packet is dealt with before the call that sent it returns
// (kernel/softirq.c __local_bh_enable_ip), on a busy machine by a thread of the kernel some
// time later: the server closes when it has seen the client's FIN.
func openAndClose(one ConnectSpec, listener int) (closed time.Time, err error) {
	client, err := connectOne(one, churnTimeout)
	if err != nil {
		return closed, err
	}
	server, err := acceptBefore(listener, time.Now().Add(churnTimeout))
	syscall.Close(client)
	if err != nil {
		return closed, err
	}
	setTimeout(server, syscall.SO_RCVTIMEO, churnTimeout)
	untilEnd(server)
	closed = time.Now()
	return closed, syscall.Close(server)
}
