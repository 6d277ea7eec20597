//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// ChurnSpec describes connections that are opened and closed one after the other, at an even
// pace. The other end is an Actor's Serve: with CloseFirst there, Second must be set here.
type ChurnSpec struct {
	To        netip.AddrPort `json:"to"`
	From      netip.AddrPort `json:"from"` // bound with IP_BIND_ADDRESS_NO_PORT when valid
	PerSecond float64        `json:"per_second"`
	For       time.Duration  `json:"for"` // at most 5 min
	// Second closes after the server has.
	Second bool `json:"second"`
	// Eager, once an attempt was refused, follows each connection by the next at once
	// and tries again at the pace: every port is taken as soon as it is free.
	Eager bool `json:"eager"`
}

// Churned is what came of it.
type Churned struct {
	Attempted int            `json:"attempted"`
	Errors    map[string]int `json:"errors"`
	// At is when each connection was made, in milliseconds since the start; the first 50,000.
	At []int64 `json:"at"`
	// Refused is when the first attempt failed, in milliseconds since the start; -1
	// when none did.
	Refused int64 `json:"refused"`
	// Late is how long after the moment at which it wanted to try the client did so at
	// worst. Where Eager is set it counts from the first refused attempt on, and is
	// also the longest that a free port may have waited while the client took others.
	Late time.Duration `json:"late"`
}

const (
	maxChurn     = 5 * time.Minute
	maxMoments   = 50_000
	churnTimeout = 5 * time.Second // of one handshake
)

// Churn opens and closes connections for a time.
func (a *Actor) Churn(spec ChurnSpec) (Churned, error) {
	return ask[Churned](a.control, "churn", spec, min(spec.For, maxChurn)+churnTimeout)
}

func churn(_ *worker, spec ChurnSpec) (Churned, error) {
	if !spec.To.IsValid() || spec.PerSecond <= 0 || spec.For <= 0 || spec.For > maxChurn {
		return Churned{}, fmt.Errorf("churn to %v, %v/s for %v: %w", spec.To,
			spec.PerSecond, spec.For, syscall.EINVAL)
	}
	out := Churned{Errors: map[string]int{}, Refused: -1}
	one := ConnectSpec{To: spec.To, From: spec.From, NoPort: spec.From.IsValid()}
	step := time.Duration(float64(time.Second) / spec.PerSecond)
	start := time.Now()
	refused := start // when an attempt was last
	for due := start; time.Since(start) <= spec.For; out.Attempted++ {
		time.Sleep(time.Until(due))
		if !spec.Eager || out.Refused >= 0 {
			out.Late = max(out.Late, time.Since(due))
		}
		fd, err := connectOne(one, churnTimeout)
		out.note(time.Since(start), err)
		if err == nil {
			finish(fd, spec.Second)
		}
		switch {
		case !spec.Eager || out.Refused < 0:
			due = due.Add(step)
		case err == nil:
			due = time.Now()
			out.Late = max(out.Late, due.Sub(refused))
		default:
			refused = time.Now()
			due = refused.Add(step)
		}
	}
	return out, nil
}

func (c *Churned) note(at time.Duration, err error) {
	if err != nil {
		c.Errors[errnoName(err)]++
		if c.Refused < 0 {
			c.Refused = at.Milliseconds()
		}
		return
	}
	if len(c.At) < maxMoments {
		c.At = append(c.At, at.Milliseconds())
	}
}

// finish closes, or waits for the server's close and then closes.
func finish(fd int, second bool) {
	if second {
		setTimeout(fd, syscall.SO_RCVTIMEO, churnTimeout)
		untilEnd(fd)
	}
	syscall.Close(fd)
}

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
	return ask[Reopened](a.control, "reopen", spec, within(spec.Within)+churnTimeout)
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

// Service is what a server does with a connection.
type Service string

const (
	Hold        Service = "hold"         // accepts and keeps it open
	CloseFirst  Service = "close-first"  // accepts and closes it
	CloseSecond Service = "close-second" // accepts, waits for the client's close, closes
)

type serving struct {
	Listener Group   `json:"listener"`
	Service  Service `json:"service"`
}

// Serve gives a listener to a server that runs in the actor from now on, beside its verbs
// and until its end. The group is then no longer the actor's. One connection is served
// after the other.
func (a *Actor) Serve(listener Group, as Service) error {
	return a.order("serve", serving{listener, as}, nil)
}

func serveForever(w *worker, s serving) (nothing, error) {
	fd, err := w.listener(s.Listener)
	if err != nil {
		return nothing{}, err
	}
	serve, ok := map[Service]func(int){Hold: func(int) {}, CloseFirst: closeFirst,
		CloseSecond: closeSecond}[s.Service]
	if !ok {
		return nothing{}, fmt.Errorf("no service %q: %w", s.Service, syscall.EINVAL)
	}
	delete(w.groups, s.Listener)
	go acceptForever(fd, serve)
	return nothing{}, nil
}

// acceptForever waits in the system call, on a thread of its own. Without a free descriptor
// it tries again every millisecond: the experiment wants the queue to fill, not the
// processor.
func acceptForever(listener int, serve func(int)) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			serve(fd)
		case syscall.EINTR, syscall.ECONNABORTED, syscall.EAGAIN:
		case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
			time.Sleep(time.Millisecond)
		default:
			return
		}
	}
}

func closeFirst(fd int) { syscall.Close(fd) }

// closeSecond reads until the client has closed. A client that does not close within a
// minute is given up.
func closeSecond(fd int) {
	defer syscall.Close(fd)
	setTimeout(fd, syscall.SO_RCVTIMEO, maxWithin)
	untilEnd(fd)
}

// untilEnd reads until the peer's FIN, an error or a time-out.
func untilEnd(fd int) {
	buf := make([]byte, 64<<10)
	for {
		n := 0
		err := eintr(func() (err error) {
			n, err = syscall.Read(fd, buf)
			return err
		})
		if err != nil || n == 0 {
			return
		}
	}
}
