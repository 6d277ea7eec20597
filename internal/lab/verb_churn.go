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
	var out Churned
	err := a.control.call("churn", spec, &out, min(spec.For, maxChurn)+churnTimeout)
	return out, err
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
