//go:build linux

package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/load/result"
)

// loadFlags are what was asked of the connecting side.
type loadFlags struct {
	self, owned, ownSources, json, fit, kernelPorts, oneTable, plain, processes, raw bool
	mode, connections, rate, ramp, hold, length                                      string
	close, ports, threads, window, timeout                                           string
	send, expect, messages, keep, csv, html, device, gateway                         string
	sources                                                                          []string
	inside
}

func (f *loadFlags) register(c *cobra.Command) {
	v := func(to *string, name, usage string) {
		c.Flags().Var(word{to}, name, usage)
		completeWith(c, name, nil)
	}
	b := c.Flags().BoolVar
	v(&f.mode, "mode",
		"`what` to do: hold, churn, burst (all at once), talk (idle, then all ask); "+
			"told from the other flags where it is not given")
	v(&f.connections, "connections", "how `many` connections: 20k, 1M")
	v(&f.rate, "rate", "open and close at this `rate`, on a fixed schedule: 20k/s")
	v(&f.ramp, "ramp", "open those that are to be held at this `rate`: 50k/s")
	v(&f.hold, "hold", "hold them for this `time`: 60s")
	v(&f.length, "for",
		"open and close for this `time`; 10s where neither this nor --connections is given")
	v(&f.close, "close",
		"`who` closes and how: rst, fin (the client), server-rst, server-fin, reuse "+
			"(rst, and the socket is used again)")
	c.Flags().Var(wordList{to: &f.sources}, "source",
		"connect from these `addresses`: A, A-B, a network A/N, a device; "+
			"comma-separated (repeatable)")
	completeWith(c, "source", nil)
	v(&f.ports, "ports",
		"source ports to use, `first-last`; net.ipv4.ip_local_port_range where it is "+
			"not given")
	b(&f.kernelPorts, "kernel-ports", false,
		"let connect() choose the port, which costs it a search once half of the range "+
			"is full")
	v(&f.threads, "threads", "number of connecting `threads` (default: one per CPU)")
	v(&f.window, "window",
		"so `many` handshakes under way in a thread; 256 where it is not given")
	v(&f.timeout, "timeout",
		"give up a handshake or an answer after this `time`; 10s where it is not given")
	v(&f.send, "send", "send these `bytes` on each connection; \\r\\n and \\x00 are understood")
	v(&f.expect, "expect", "wait for an answer of this many `bytes`")
	v(&f.messages, "message-rate",
		"send a message this `often` over all held connections together: 1k/s; dead "+
			"ones are found")
	b(&f.oneTable, "one-table", false, "keep to this process's limit of open files")
	b(&f.raw, "raw", false,
		"shake hands by frames on a device, without sockets at this end: finds a "+
			"server's limit from one machine (IPv4, takes CAP_NET_RAW)")
	v(&f.device, "device", "the `device` for --raw")
	v(&f.gateway, "gateway",
		"the next hop for --raw, an `address`, where the target is not on the link")
	b(&f.processes, "processes", false,
		"use worker processes instead of threads with a limit of open files of their own")
	v(&f.keep, "keep-free",
		"stop opening when free memory drops below this many `MiB` (default: 1/16 of RAM)")
	b(&f.fit, "fit", false, "open only as many as this host's limits allow")
	b(&f.owned, "i-own-the-target", false,
		"load a target that is not this host: it, and with --raw what leads to it, "+
			"are yours")
	b(&f.ownSources, "i-own-the-sources", false,
		"let --raw use sources that are no addresses of this host: they are yours; "+
			"it asks first whether another host has them, and then it does not start")
	b(&f.json, "json", false, "write JSON")
	v(&f.csv, "csv", "write the time series to this `file`")
	v(&f.html, "html", "write a page with plots to this `file`")
	b(&f.plain, "no-histogram", false, "measure no times")
	_ = c.Flags().MarkHidden("no-histogram") // fails only for a flag that does not exist
}

// spec puts the flags together.
func (f *loadFlags) spec(ctx context.Context) (s load.Spec, err error) {
	s = load.Spec{Mode: result.Mode(f.mode), Close: result.Close(f.close),
		KernelPorts: f.kernelPorts, OneTable: f.oneTable, NoHistogram: f.plain,
		Diagnose:  true,
		Processes: f.processes, Program: []string{"/proc/self/exe", "load", "worker"}}
	p := &parsed{}
	s.Connections = p.count("--connections", f.connections)
	s.Rate = p.rate("--rate", f.rate)
	ramp := p.rate("--ramp", f.ramp)
	hold, length := p.time("--hold", f.hold), p.time("--for", f.length)
	s.Timeout = p.time("--timeout", f.timeout)
	s.Threads, s.Window, s.Expect = p.number("--threads", f.threads),
		p.number("--window", f.window), p.number("--expect", f.expect)
	s.MessageRate = p.rate("--message-rate", f.messages)
	s.KeepFree = int64(p.number("--keep-free", f.keep)) << 20
	s.Send = p.bytes("--send", f.send)
	if f.ports != "" {
		s.Ports, err = load.ParsePorts(f.ports)
		p.note("--ports", f.ports, err)
	}
	for _, list := range f.sources {
		ranges, err := load.ParseSources(list)
		p.note("--source", list, err)
		s.Sources = append(s.Sources, ranges...)
	}
	if err := cmp.Or(p.err, f.places()); err != nil {
		return s, err
	}
	return s, f.combine(&s, ramp, hold, length)
}

// combine tells the mode where it is not given, and refuses flags of another one.
func (f *loadFlags) combine(s *load.Spec, ramp float64, hold, length time.Duration) error {
	if s.Mode == "" {
		s.Mode = result.Churn
		if s.Connections > 0 && s.Rate == 0 && length == 0 && f.close == "" {
			s.Mode = result.Hold
		}
	}
	churn := s.Mode == result.Churn
	switch {
	case !slices.Contains(result.Modes, s.Mode):
		return misuse("it is hold, churn, burst or talk", "--mode: there is no mode %s",
			quoted(string(s.Mode)))
	case churn && (ramp > 0 || hold > 0):
		return misuse("churn has --rate and --for",
			"--ramp and --hold are for connections that are held: give --connections")
	case !churn && (s.Rate > 0 || length > 0):
		return misuse("held connections have --ramp and --hold",
			"--rate and --for are for connections that are closed again")
	case !churn && f.close != "":
		return misuse("held connections end with RST, which leaves nothing behind",
			"--close is for connections that are opened and closed all the time")
	case !churn && s.Connections == 0:
		return misuse("for example --connections 100k", "--mode %s needs --connections",
			s.Mode)
	case churn:
		s.Duration = length
	default:
		s.Rate, s.Duration = ramp, hold
	}
	return f.unused(s)
}

// unused refuses flags that would do nothing.
func (f *loadFlags) unused(s *load.Spec) error {
	churn := s.Mode == result.Churn
	asks := churn || s.Mode == result.Talk
	switch {
	case !f.raw && (f.device != "" || f.gateway != ""):
		return misuse("give --raw, or omit them", "--device and --gateway are for --raw")
	case !f.raw && f.ownSources:
		return misuse("give --raw, or addresses of this host",
			"--i-own-the-sources is for --raw")
	case f.kernelPorts && f.ports != "":
		return misuse("give one of them",
			"--kernel-ports and --ports: either connect() chooses the port or this "+
				"program")
	case f.processes && f.oneTable:
		return misuse("give one of them",
			"--processes and --one-table: several processes have several tables")
	case f.fit && churn:
		return misuse("--fit is for --connections that are held",
			"--fit: connections that are closed again need no room")
	case s.MessageRate > 0 && s.Mode != result.Hold && s.Mode != result.Burst:
		return misuse("give --connections with --hold",
			"--message-rate is for connections that are held")
	case !asks && s.Expect > 0 || !asks && len(s.Send) > 0 && s.MessageRate == 0:
		return misuse("--mode talk asks on each held connection, --mode churn asks and "+
			"closes, --message-rate sends and looks for no answer",
			"connections that are only held ask nothing: --send and --expect would "+
				"not be used")
	}
	return nil
}

// parsed collects the first thing that is wrong.
type parsed struct{ err error }

func (p *parsed) note(flag, text string, err error) {
	if err != nil && p.err == nil {
		p.err = misuse("maxconn load --help shows examples", "%s: %w", flag, err)
	}
}

func (p *parsed) count(flag, text string) (n int64) {
	if text != "" {
		var err error
		n, err = parseCount(text)
		p.note(flag, text, err)
	}
	return n
}

func (p *parsed) rate(flag, text string) (f float64) {
	if text != "" {
		var err error
		f, err = rate(text)
		p.note(flag, text, err)
	}
	return f
}

func (p *parsed) time(flag, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err == nil && d > 0 {
		return d
	}
	if p.err == nil {
		p.err = misuse("write a number with its unit: 10s, 2m",
			"%s: %s is not a length of time", flag, quoted(text))
	}
	return 0
}

func (p *parsed) number(flag, text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err == nil && n > 0 {
		return int(n)
	}
	if p.err == nil {
		p.err = misuse("maxconn load --help lists the flags",
			"%s: %s is not a number above zero", flag, quoted(text))
	}
	return 0
}

func (p *parsed) bytes(flag, text string) []byte {
	if text == "" {
		return nil
	}
	b, err := bytesOf(text)
	if err != nil && p.err == nil {
		p.err = misuse(`write \r\n, \t, \x00 and \\ for bytes that have no letter`,
			"%s: %s is not a text with escapes", flag, quoted(text))
	}
	return b
}
