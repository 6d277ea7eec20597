//go:build linux

package load

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Ports is a range of source ports, both ends in it, without some.
type Ports struct {
	First, Last uint16
	Without     []Ports
}

// count is how many ports there are to choose from.
func (p Ports) count() (n int) {
	for port := int(p.First); port <= int(p.Last); port++ {
		if !p.skips(uint16(port)) {
			n++
		}
	}
	return n
}

func (p Ports) skips(port uint16) bool {
	for _, w := range p.Without {
		if port >= w.First && port <= w.Last {
			return true
		}
	}
	return false
}

// OwnPorts are the ports that connect() would choose from: ip_local_port_range without
// ip_local_reserved_ports, of this network namespace.
func OwnPorts() (Ports, error) {
	text, err := readSysctl("net/ipv4/ip_local_port_range")
	if err != nil {
		return Ports{}, err
	}
	first, last, ok := strings.Cut(text, " ")
	p, err := parsePorts(first, last)
	if !ok || err != nil {
		return Ports{},
			fmt.Errorf("load: net.ipv4.ip_local_port_range: %q is not two ports", text)
	}
	reserved, err := readSysctl("net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return Ports{}, err
	}
	p.Without, err = parsePortList(reserved)
	return p, err
}

func readSysctl(name string) (string, error) {
	b, err := procfs.Root("").Read("sys/" + name)
	if err != nil {
		return "", fmt.Errorf("load: %w", err)
	}
	return procfs.ParseSysctl(b)
}

func parsePorts(first, last string) (Ports, error) {
	a, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err != nil || err2 != nil || a < 1 || b < a {
		return Ports{}, fmt.Errorf("%s to %s is no range of ports", strconv.Quote(first),
			strconv.Quote(last))
	}
	return Ports{First: uint16(a), Last: uint16(b)}, nil
}

// ParsePorts reads "1024-65535".
func ParsePorts(text string) (Ports, error) {
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		last = first
	}
	return parsePorts(first, last)
}

// parsePortList reads "8080,9000-9009", or nothing.
func parsePortList(text string) (out []Ports, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		p, err := ParsePorts(part)
		if err != nil {
			return nil, fmt.Errorf("load: net.ipv4.ip_local_reserved_ports: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

// mostChunk is how many ports a lane takes at a time. Lanes then never try the same tuple.
const mostChunk = 512

// space hands out (source address, source port, target) so that no two connections of a run
// are given the same: the ports of one source and target after each other, then the next
// source, then the next target. connect() would search for a free port, in vain for half of
// the range once that half is full (net/ipv4/inet_hashtables.c __inet_hash_connect).
type space struct {
	ports   Ports
	sources []Range
	nsource uint64
	targets []fastsock.Addr
	chunk   int
	chunks  uint64      // of one source and target
	empty   atomic.Bool // a lane found no tuple left
	taken   atomic.Uint64
	again   bool // after the last comes the first
	share   uint64
	of      uint64 // this run has every of-th chunk, from share on

	// mu orders the tickets that come back and the tuples that are left: else a lane may end
	// with tuples while another gives back the last ticket for want of one.
	mu   sync.Mutex
	rest []cursor // what lanes have left of their chunks
}

// left takes what a lane has left of its chunk. sp.mu is held.
func (sp *space) left(c *cursor) {
	if c.next < c.end {
		sp.rest = append(sp.rest, *c)
		c.pass()
	}
}

// adopt gives a lane what another has left, if there is any. sp.mu is held.
func (sp *space) adopt(c *cursor) bool {
	n := len(sp.rest)
	if n == 0 {
		return false
	}
	*c, sp.rest = sp.rest[n-1], sp.rest[:n-1]
	return true
}

func newSpace(s Spec, targets []netip.AddrPort) *space {
	sp := &space{
		ports:   s.Ports,
		sources: s.Sources,
		again:   s.Mode == result.Churn,
		share:   s.share,
		of:      max(s.of, 1),
	}
	for _, t := range targets {
		sp.targets = append(sp.targets, fastsock.NewAddr(t))
	}
	for _, r := range s.Sources {
		sp.nsource += r.size()
	}
	sp.nsource = max(sp.nsource, 1) // the kernel's choice
	span := int(s.Ports.Last) - int(s.Ports.First) + 1
	sp.chunk = max(min(mostChunk, span/(4*s.Threads)), 1)
	sp.chunks = uint64((span + sp.chunk - 1) / sp.chunk)
	return sp
}

// total is how many chunks there are.
func (sp *space) total() uint64 { return sp.chunks * sp.nsource * uint64(len(sp.targets)) }

// source is the i-th source address.
func (sp *space) source(i uint64) netip.Addr {
	for _, r := range sp.sources {
		if n := r.size(); i >= n {
			i -= n
			continue
		}
		return r.at(i)
	}
	return netip.Addr{}
}

// cursor is one worker's place in a space.
type cursor struct {
	space *space
	from  fastsock.Addr // what to bind
	to    *fastsock.Addr
	next  int
	end   int
}

// step goes to the next tuple; false when there is none left.
func (c *cursor) step() bool {
	for {
		if c.next >= c.end && !c.load() {
			return false
		}
		port := uint16(c.next)
		c.next++
		if !c.space.ports.skips(port) {
			c.from.SetPort(port)
			return true
		}
	}
}

// pass leaves the rest of the chunk alone.
func (c *cursor) pass() { c.next = c.end }

func (c *cursor) load() bool {
	sp := c.space
	n := (sp.taken.Add(1)-1)*sp.of + sp.share
	if n >= sp.total() {
		if !sp.again {
			return false
		}
		n %= sp.total()
	}
	at := n % sp.chunks
	c.to = &sp.targets[n/sp.chunks/sp.nsource]
	source := netip.IPv6Unspecified()
	if len(sp.sources) > 0 {
		source = sp.source(n / sp.chunks % sp.nsource)
	} else if c.to.AddrPort().Addr().Is4() {
		source = netip.IPv4Unspecified()
	}
	c.from = fastsock.NewAddr(netip.AddrPortFrom(source, 0))
	c.next = int(sp.ports.First) + int(at)*sp.chunk
	c.end = min(c.next+sp.chunk, int(sp.ports.Last)+1)
	return true
}
