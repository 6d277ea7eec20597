//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/observe"
)

type setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func writeSysctl(s setting) error { return tune.Sysctl(s.Key, s.Value) }

func readSysctl(_ *worker, key string) (string, error) {
	name, err := knob.File(key)
	if err != nil {
		return "", fmt.Errorf("%q: %w", key, err)
	}
	text, err := os.ReadFile(knob.Dir + name)
	return strings.TrimSuffix(string(text), "\n"), err
}

type address struct {
	Device string       `json:"device"`
	Prefix netip.Prefix `json:"prefix"`
}

func addAddress(a address) error { return tune.AddAddress(a.Device, a.Prefix) }

// Fresh reads sysctls in a network namespace that is made from inside the lab, as a
// container's is made from a host. A key that is not there is left out.
func (l *Lab) Fresh(keys ...string) (map[string]string, error) {
	return ask[map[string]string](l.hold, "fresh", keys, 0)
}

func readFresh(w *worker, keys []string) (map[string]string, error) {
	out := map[string]string{}
	err := netns.Fresh(func() error {
		for _, key := range keys {
			value, err := readSysctl(w, key)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				return err
			}
			out[key] = value
		}
		return nil
	})
	return out, err
}

// Observe takes a snapshot of the lab from inside, as `maxconn observe` would
// there: a user without privileges cannot enter the namespace from outside.
func (l *Lab) Observe() (host.Snapshot, error) {
	var text string
	if err := l.hold.call("observe", nothing{}, &text, maxWithin); err != nil {
		return host.Snapshot{}, err
	}
	s, err := host.Parse([]byte(text))
	if err != nil {
		return host.Snapshot{}, fmt.Errorf("lab: observe: %w", err)
	}
	return s, nil
}

func observeSelf(_ *worker, _ nothing) (string, error) {
	s, err := observe.Observe(context.Background(), observe.Options{})
	return string(s.Text()), err
}

// Remaining is the time until the kernel ends each socket of the lab that stands in for a
// closed connection: in TIME_WAIT, and in FIN_WAIT_2 after close(), by state name. The
// first thousand of each.
type Remaining map[string][]time.Duration

// Timers reads how long the closed connections of the lab will stay, as the kernel says
// (sock_diag).
func (l *Lab) Timers() (Remaining, error) {
	return ask[Remaining](l.hold, "timers", nothing{}, 0)
}

const maxTimers = 1000

func readTimers(_ *worker, _ nothing) (Remaining, error) {
	c, err := sockdiag.Open()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := Remaining{}
	err = c.Dump(sockdiag.Request{States: sockdiag.TimeWait.Mask() | sockdiag.FinWait2.Mask()},
		func(s *sockdiag.Socket) error {
			name := s.State.String()
			if s.Timer == sockdiag.TimerTimeWait && len(out[name]) < maxTimers {
				out[name] = append(out[name],
					time.Duration(s.ExpiresMillis)*time.Millisecond)
			}
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("list timers: %w", err)
	}
	return out, nil
}

// Track makes the lab track its IPv4 connections (netfilter), as a firewall with a stateful
// rule does. A kernel without nf_tables answers with an error.
func (l *Lab) Track() error { return l.order("track", nothing{}, nil) }

func trackConnections(_ nothing) error { return tune.TrackConnections() }

// Sources and Allowance are rules that a lab can have.
type (
	Sources   = tune.Sources
	Allowance = tune.Allowance
)

// RewriteSources makes the lab give TCP connections to a port another source, as a router with SNAT
// does. A kernel without nf_tables and its NAT answers with an error.
func (l *Lab) RewriteSources(s Sources) error { return l.order("snat", s, nil) }

// Allow makes the lab drop what comes to a port beyond so many TCP connections, as a firewall rule
// with "ct count over" does. A kernel without nf_tables and nft_connlimit answers with an error.
func (l *Lab) Allow(a Allowance) error { return l.order("allow", a, nil) }
