//go:build linux

package lab

import "github.com/maxconn/maxconn/internal/linux/tune"

// Track makes the lab track its IPv4 connections (netfilter), as a firewall with a stateful
// rule does. A kernel without nf_tables answers with an error.
func (l *Lab) Track() error { return l.order("track", nothing{}, nil) }

func trackConnections(_ *worker, _ nothing) (nothing, error) {
	return nothing{}, tune.TrackConnections()
}
