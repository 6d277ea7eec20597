//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/packet"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Raw is a client without kernel sockets: it shakes hands by frames on a device. The
// sequence number of a connection is a hash of its addresses and ports, so that one that is
// held costs one bit here, and nothing in this host's kernel where the server is elsewhere.
// That finds a server's limit from one machine.
type Raw struct {
	// Device is where the server is reached, of this network namespace. The sources
	// must not be addresses of this host, whose kernel would reset what it does not
	// know. Questions for their hardware address are answered.
	Device string
	// Foreign are the sources that are no addresses of this host (Aim.Foreign). Those
	// that will be used are asked for on the link first; where another host has one,
	// ConnectRaw gives ErrHeld.
	Foreign []Range
	// Gateway is the next hop, invalid where the target is on the link.
	Gateway netip.Addr
}

// ConnectRaw is Connect by frames: Hold and Churn, IPv4, one thread, no times. It takes
// CAP_NET_RAW. A connection of churn is reset by the client as soon as it is established.
func ConnectRaw(ctx context.Context, s Spec, raw Raw) (*result.Report, error) {
	switch {
	case len(s.Targets) == 0 || !s.Targets[0].Addr().Unmap().Is4():
		return nil, errors.New("load: raw needs a target with an IPv4 address")
	case len(s.Sources) == 0:
		return nil, errors.New(
			"load: raw needs source addresses, which are none of this host")
	case s.Mode != result.Hold && s.Mode != result.Churn || len(s.Send) > 0 || s.Expect > 0 ||
		s.MessageRate > 0:
		return nil, errors.New("load: raw only opens, holds and resets")
	}
	s.Threads, s.OneTable, s.NoHistogram, s.Processes = 1, true, true, false
	s.Close = result.ClientRST
	s.Diagnose = false // the server's namespace is another one
	c, err := newRawClient(ctx, s, raw)
	if err != nil {
		return nil, err
	}
	defer c.ring.Close()
	r, err := reported(open(ctx, "raw", s, c.work))
	if err == nil {
		c.shortOfTuples(r)
	}
	return r, err
}

// shortOfTuples says that every source port was used, where no more were wanted than that.
func (c *rawClient) shortOfTuples(r *result.Report) {
	if r.Mode == result.Hold && r.BoundBy == "" && r.Attempted >= c.all && c.all < r.Wanted {
		r.BoundBy, r.Because = string(limit.EphemeralPorts), fmt.Sprintf(
			"%d ports of %d source addresses to %d ports of the target are %d "+
				"connections: "+
				"give more --ports or --source addresses", c.span, c.nsource,
			len(c.ports), c.all)
	}
}

// rawClient is the state of all its connections.
type rawClient struct {
	*worker
	ring    *packet.Ring
	path    packet.Path
	to      uint32
	ports   []uint16       // of the target
	portAt  [1 << 16]int32 // and back, counted from 1
	sources []block
	nsource int64
	first   int64 // source port
	span    int64
	all     int64    // connections that have a number
	shaken  []uint64 // one bit each: established
	failed  []uint64 // refused, or ended while held
	sent    int64    // numbers below it have been tried, in churn counted over all rounds
	ended_  int64    // of these, how many were answered or given up
	low     int64    // numbers below it are answered
	moved   int64    // when the last answer came
	window  int64
}

// mostRaw bounds the bits: half a GiB for each set of them.
const mostRaw = int64(1) << 32

func newRawClient(ctx context.Context, s Spec, raw Raw) (*rawClient, error) {
	c := &rawClient{to: address(s.Targets[0].Addr()), window: 4096}
	for i, t := range s.Targets {
		c.ports = append(c.ports, t.Port())
		c.portAt[t.Port()] = int32(i) + 1
	}
	for _, r := range s.Sources {
		c.sources = append(c.sources, block{address(r.First), int64(r.size())})
	}
	ports := s.Ports
	if ports.Last == 0 {
		ports = Ports{First: 1024, Last: 65535} // no kernel chooses among them
	}
	c.first, c.span = int64(ports.First), int64(ports.Last)-int64(ports.First)+1
	c.nsource = Addresses(s.Sources)
	if s.Connections > 0 {
		c.nsource = min(c.nsource, (s.Connections-1)/c.span/int64(len(c.ports))+1)
	}
	if s.Window > 0 {
		c.window = int64(s.Window)
	}
	c.all = c.nsource * c.span * int64(len(c.ports))
	if c.nsource > mostRaw/c.span/int64(len(c.ports)) {
		return nil, fmt.Errorf("load: raw has at most %d connections to choose from",
			mostRaw)
	}
	c.shaken, c.failed = make([]uint64, c.all/64+1), make([]uint64, c.all/64+1)
	var err error
	if c.ring, err = packet.Open(raw.Device, s.Targets[0].Addr().Unmap().As4()); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	hop := c.to
	if raw.Gateway.IsValid() {
		hop = address(raw.Gateway)
	}
	if err = c.probe(ctx, raw.Foreign); err == nil {
		err = c.resolve(ctx, hop)
	}
	if err != nil {
		c.ring.Close()
		return nil, err
	}
	return c, nil
}

func address(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.BigEndian.Uint32(b[:])
}

// block is n addresses from the first on.
type block struct {
	first uint32
	n     int64
}

// source is the i-th source address.
func (c *rawClient) source(i int64) uint32 {
	for _, b := range c.sources {
		if i < b.n {
			return b.first + uint32(i)
		}
		i -= b.n
	}
	return 0
}

// sourceAt is the number of an address, or -1.
func (c *rawClient) sourceAt(a uint32) int64 {
	before := int64(0)
	for _, b := range c.sources {
		if a >= b.first && int64(a-b.first) < b.n {
			return before + int64(a-b.first)
		}
		before += b.n
	}
	return -1
}

// tuple is the segment of a connection by its number: source ports first, then source
// addresses, then the target's ports.
func (c *rawClient) tuple(k int64) packet.Segment {
	return packet.Segment{
		From: c.source(k / c.span % c.nsource), To: c.to,
		FromPort: uint16(c.first + k%c.span), ToPort: c.ports[k/c.span/c.nsource],
	}
}

// number is the connection that an answer belongs to, or -1.
func (c *rawClient) number(s packet.Segment) int64 {
	source, port := c.sourceAt(s.To), int64(s.ToPort)-c.first
	to := int64(c.portAt[s.FromPort]) - 1
	if source < 0 || source >= c.nsource || port < 0 || port >= c.span || to < 0 ||
		s.From != c.to {
		return -1
	}
	return (to*c.nsource+source)*c.span + port
}

// initial is the first sequence number of a connection: anybody can say it again without
// having kept it. In churn it grows with each round, as a server in TIME_WAIT wants it.
func initial(s packet.Segment, round int64) uint32 {
	x := uint64(s.From)<<32 | uint64(s.FromPort)<<16 | uint64(s.ToPort)
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return uint32(x>>32) + uint32(round)
}

func (c *rawClient) emit(s packet.Segment) {
	if e := c.ring.Emit(c.path.Put(c.ring.Slot(), s)); e != nil {
		c.fail(result.AtSend, errnoOf(e))
	}
}

func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	errors.As(err, &e)
	return e
}

func bit(set []uint64, k int64) bool { return set[k>>6]>>(k&63)&1 == 1 }
func mark(set []uint64, k int64)     { set[k>>6] |= 1 << (k & 63) }
func unmark(set []uint64, k int64)   { set[k>>6] &^= 1 << (k & 63) }
