//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/linux/packet"
)

// ErrHeld says that another host has an address that was to be a source. It was asked for, and
// nothing else was sent.
var ErrHeld = errors.New("load: another host has a source address")

// Numbers of RFC 5227, section 1.1, except that half a second between questions is enough for a
// host that is up.
const (
	probes     = 3
	probeEvery = 500 * time.Millisecond
	mostProbed = 1 << 14 // addresses: each question goes to all hosts of the link
	probeBurst = 256
)

// probe asks the link for the foreign sources that will be used.
func (c *rawClient) probe(ctx context.Context, foreign []Range) error {
	asked := c.toProbe(foreign)
	if len(asked) > mostProbed {
		return fmt.Errorf(
			"load: %d sources are no addresses of this host: at most %d are asked for",
			len(asked), mostProbed)
	}
	for range probes {
		if len(asked) == 0 {
			break
		}
		end := time.Now().Add(probeEvery)
		for i, a := range asked {
			if err := c.ask(c.ring.Probe(c.ring.Slot(), a)); err != nil {
				return err
			}
			if i%probeBurst == probeBurst-1 {
				if err := c.unheld(ctx,
					time.Now().Add(10*time.Millisecond)); err != nil {
					return err
				}
			}
		}
		if err := c.unheld(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

func (c *rawClient) toProbe(foreign []Range) (asked []uint32) {
	for _, r := range foreign {
		first, n := address(r.First), int64(r.size())
		for i := range n {
			if k := c.sourceAt(first + uint32(i)); k >= 0 && k < c.nsource {
				asked = append(asked, first+uint32(i))
			}
			if len(asked) > mostProbed {
				return asked
			}
		}
	}
	return asked
}

func (c *rawClient) ask(n int) error {
	err := c.ring.Emit(n)
	if err == nil {
		err = c.ring.Flush()
	}
	if err != nil {
		return fmt.Errorf("load: ask the link for a hardware address: %w", err)
	}
	return nil
}

// unheld listens until a time, and fails where another host shows that it has a source.
func (c *rawClient) unheld(ctx context.Context, until time.Time) error {
	for {
		a, ok := c.heard(ctx, until)
		if !ok {
			return ctx.Err()
		}
		if held, mac, ok := c.contends(a); ok {
			return fmt.Errorf("%w: %s is at %s", ErrHeld, dotted(held),
				net.HardwareAddr(mac[:]))
		}
	}
}

// heard is the next ARP frame, or not ok at a time or at the end of ctx.
func (c *rawClient) heard(ctx context.Context, until time.Time) (packet.ARP, bool) {
	for ctx.Err() == nil {
		for f := c.ring.Next(); f != nil; f = c.ring.Next() {
			a, ok := packet.ParseARP(f)
			c.ring.Done()
			if ok {
				return a, true
			}
		}
		left := time.Until(until)
		if left <= 0 {
			break
		}
		c.ring.Wait(min(max(left, time.Millisecond), 50*time.Millisecond))
	}
	return packet.ARP{}, false
}

// contends says that another host has one of the sources in use, or is about to take it (RFC 5227,
// section 2.1.1).
func (c *rawClient) contends(a packet.ARP) (held uint32, mac [6]byte, ok bool) {
	if a.HasMAC == c.ring.MAC {
		return 0, mac, false
	}
	held = a.Has
	if a.Has == 0 && !a.Answer {
		held = a.Wants
	}
	k := c.sourceAt(held)
	return held, a.HasMAC, k >= 0 && k < c.nsource
}

// resolve asks for the hardware address of the next hop. It must be that of one host.
func (c *rawClient) resolve(ctx context.Context, hop uint32) error {
	const tries, wait, doubt = 20, 100 * time.Millisecond, 100 * time.Millisecond
	for range tries {
		if err := c.ask(c.ring.Ask(c.ring.Slot(), c.source(0), hop)); err != nil {
			return err
		}
		mac, ok := c.answer(ctx, hop, time.Now().Add(wait))
		if !ok {
			continue
		}
		answers, until := [][6]byte{mac}, time.Now().Add(doubt)
		for other, more := c.answer(ctx, hop, until); more; other, more = c.answer(ctx, hop,
			until) {
			answers = append(answers, other)
		}
		if err := oneHost(answers, c.ring.MAC); err != nil {
			return fmt.Errorf("load: the next hop %s: %w", dotted(hop), err)
		}
		c.path = c.ring.Path(mac)
		return ctx.Err()
	}
	return errors.Join(ctx.Err(),
		errors.New("load: nobody answers for the next hop on the device"))
}

// oneHost says what is wrong with the hardware addresses that answered for one address.
func oneHost(answers [][6]byte, own [6]byte) error {
	name := func(mac [6]byte) string { return net.HardwareAddr(mac[:]).String() }
	for _, mac := range answers {
		switch {
		case mac != answers[0]:
			return fmt.Errorf("two hosts answer, %s and %s", name(answers[0]),
				name(mac))
		case mac == own:
			return fmt.Errorf("%s is this device itself", name(mac))
		case mac[0]&1 == 1 || mac == [6]byte{}:
			return fmt.Errorf("%s is not the hardware address of one host", name(mac))
		}
	}
	return nil
}

// answer is who says that he has the address.
func (c *rawClient) answer(ctx context.Context, hop uint32, until time.Time) (
	mac [6]byte, ok bool) {
	for {
		a, ok := c.heard(ctx, until)
		if !ok {
			return mac, false
		}
		if a.Answer && a.Has == hop {
			return a.HasMAC, true
		}
	}
}

// attendARP answers for the sources in use, and ends the run where another host has one of them.
func (c *rawClient) attendARP(a packet.ARP) {
	if held, mac, ok := c.contends(a); ok {
		c.halt(fmt.Sprintf("another host, %s, has the source %s",
			net.HardwareAddr(mac[:]), dotted(held)))
		c.end()
		return
	}
	if k := c.sourceAt(a.Wants); !a.Answer && k >= 0 && k < c.nsource {
		_ = c.ring.Emit(c.ring.Answer(c.ring.Slot(), a)) // it will be asked again
	}
}

func dotted(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
