//go:build linux

package netfilter

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// reading is a rule whose expressions are read one after the other.
type reading struct {
	rule      *Rule
	registers map[uint64]loaded
}

// loaded is what a register holds: a value of the rule, or something of the packet.
type loaded struct {
	value []byte
	what  what
}

type what uint8

const (
	other what = iota
	protocol
	port
	state // of the connection, or the flags of TCP: a mask came after
)

// expression takes one over. What is not known makes the rule less than plain.
func (x *reading) expression(name string, a attributes) error {
	switch name {
	case "immediate":
		return x.immediate(a)
	case "meta":
		x.meta(a)
	case "payload":
		x.payload(a)
	case "ct":
		x.load(a.number(1), loaded{what: pick(a.number(2) == 0, state)})
	case "bitwise":
		x.bitwise(a)
	case "cmp":
		return x.compare(a)
	case "counter":
		x.rule.Counted, x.rule.Packets = true, a.number(2)
	case "connlimit":
		x.count(Count{Most: a.number(1), Over: a.number(2)&1 != 0})
	case "limit":
		x.rate(rateOf(a))
	case "dynset":
		return x.dynset(a)
	case "objref":
		x.object(a)
	case "masq":
		x.rule.NAT = &NAT{Masquerade: true}
		x.ports(a, 2, 3)
		x.flags(a.number(1))
	case "nat":
		x.nat(a)
	case "reject":
		x.rule.Verdict = "reject"
	case "match":
		x.match(a)
	case "target":
		x.target(a)
	case "log", "notrack":
	default:
		x.rule.Plain = false
	}
	return nil
}

func pick(is bool, w what) what {
	if is {
		return w
	}
	return other
}

func (x *reading) load(register uint64, l loaded) { x.registers[register] = l }

// count and rate begin what a counter behind them counts.
func (x *reading) count(c Count) { x.rule.Count, x.rule.Counted, x.rule.Packets = &c, false, 0 }
func (x *reading) rate(r *Rate) {
	if r != nil {
		x.rule.Rate, x.rule.Counted, x.rule.Packets = r, false, 0
	}
}

// rateOf reads NFTA_LIMIT_*; one of bytes limits no connections.
func rateOf(a attributes) *Rate {
	const packets, inverted = 0, 1
	if a.number(4) != packets {
		return nil
	}
	return &Rate{Packets: a.number(1), Seconds: a.number(2), Burst: a.number(3),
		Over: a.number(5)&inverted != 0}
}

// verdicts are NF_DROP, NF_ACCEPT, NFT_JUMP, NFT_GOTO and NFT_RETURN.
var verdicts = map[int32]string{0: "drop", 1: "accept", -3: "jump", -4: "goto", -5: "return"}

func (x *reading) immediate(a attributes) error {
	data, err := parse(a[2])
	if err != nil {
		return err
	}
	if a.number(1) != verdictReg {
		x.load(a.number(1), loaded{value: data[1]})
		return nil
	}
	verdict, err := parse(data[2])
	if err != nil {
		return err
	}
	x.rule.Verdict = verdicts[int32(uint32(verdict.number(1)))]
	x.rule.To = verdict.text(2)
	return nil
}

// meta loads NFT_META_L4PROTO (16), or NFT_META_NFPROTO (15) and others.
func (x *reading) meta(a attributes) {
	x.load(a.number(1), loaded{what: pick(a.number(2) == 16, protocol)})
}

// payload loads from the network header (base 1) the protocol of IPv4 or IPv6, from the transport
// header (2) the destination port, or the flags of TCP.
func (x *reading) payload(a attributes) {
	base, offset, size := a.number(2), a.number(3), a.number(4)
	w := other
	switch {
	case base == 1 && size == 1 && offset == 9 && x.rule.Family == "ip",
		base == 1 && size == 1 && offset == 6 && x.rule.Family == "ip6":
		w = protocol
	case base == 2 && size == 2 && offset == 2:
		w = port
	case base == 2 && size == 1 && offset == 13:
		w = state
	}
	x.load(a.number(1), loaded{what: w})
}

// bitwise keeps of a state what the mask names; for all else the rule is not plain.
func (x *reading) bitwise(a attributes) {
	l := x.registers[a.number(1)]
	if l.what != state {
		l = loaded{}
	} else if mask, err := parse(a[4]); err == nil {
		l.value = mask[1]
	}
	x.load(a.number(2), l)
}

// compare reads NFTA_CMP_*.
func (x *reading) compare(a attributes) error {
	data, err := parse(a[3])
	if err != nil {
		return err
	}
	const equal, unequal = 0, 1
	op, v, l := a.number(2), data[1], x.registers[a.number(1)]
	switch {
	case l.what == protocol && op == equal && len(v) > 0:
		x.rule.Protocol = v[0]
	case l.what == port && op == equal && len(v) >= 2:
		x.rule.Port = binary.BigEndian.Uint16(v)
	case l.what == state && isNew(l.value, v, op == unequal):
		x.rule.New = true
	default:
		x.rule.Plain = false
	}
	return nil
}

// isNew knows "ct state new" (a bit of the host's order, compared with none) and
// "tcp flags & (fin|syn|rst|ack) == syn" in its forms.
func isNew(mask, v []byte, unequal bool) bool {
	const stateNew, syn = 8, 2
	if len(mask) == 4 {
		return unequal && binary.NativeEndian.Uint32(mask) == stateNew
	}
	return len(mask) == 1 && len(v) == 1 && !unequal && v[0] == syn && mask[0]&syn != 0
}

// dynset is a set that grows with the packets: what limits in it does so for each key.
func (x *reading) dynset(a attributes) error {
	x.rule.Plain = false // which key it is decides as well
	inner := func(v []byte) error {
		e, err := parse(v)
		if err != nil {
			return err
		}
		data, err := parse(e[exprData])
		if err != nil {
			return err
		}
		switch e.text(exprName) {
		case "connlimit":
			x.count(Count{Most: data.number(1), Over: data.number(2)&1 != 0,
				Each: true})
		case "limit":
			if r := rateOf(data); r != nil {
				r.Each = true
				x.rate(r)
			}
		}
		return nil
	}
	const one, several = 7, 10 // NFTA_DYNSET_EXPR, NFTA_DYNSET_EXPRESSIONS
	if v, ok := a[one]; ok {
		return inner(v)
	}
	return nlattr.Each(a[several], func(_ uint16, v []byte) error { return inner(v) })
}

// object is a limit or counter with a name of its own; its figures stand elsewhere.
func (x *reading) object(a attributes) {
	const limit, connlimit = 4, 5 // NFT_OBJECT_LIMIT, NFT_OBJECT_CONNLIMIT
	switch a.number(1) {
	case limit:
		x.rate(&Rate{})
	case connlimit:
		x.count(Count{})
	default:
		if len(a[3]) > 0 { // from a map
			x.rule.Plain = false
		}
		return
	}
	x.rule.Plain = false
}

// nat takes NFT_NAT_SNAT alone.
func (x *reading) nat(a attributes) {
	if a.number(1) != 0 {
		return
	}
	n := &NAT{}
	n.Low, n.High = x.address(a.number(3)), x.address(a.number(4))
	if !n.High.IsValid() {
		n.High = n.Low
	}
	x.rule.NAT = n
	x.ports(a, 5, 6)
	x.flags(a.number(7))
}

func (x *reading) address(register uint64) netip.Addr {
	v := x.registers[register].value
	if register == verdictReg || len(v) != 4 && len(v) != 16 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(v)
	return a
}

// ports are those in two registers, the first and last that the rule allows.
func (x *reading) ports(a attributes, low, high uint16) {
	n := x.rule.NAT
	for i, kind := range []uint16{low, high} {
		if _, given := a[kind]; !given {
			n.Ports[i] = n.Ports[0]
			continue
		}
		if v := x.registers[a.number(kind)].value; len(v) >= 2 {
			n.Ports[i] = binary.BigEndian.Uint16(v)
		} else {
			n.Unread = true
		}
	}
}

// flags are NF_NAT_RANGE_* (include/uapi/linux/netfilter/nf_nat.h).
func (x *reading) flags(f uint64) {
	x.rule.NAT.Random, x.rule.NAT.FullyRandom = f&(1<<2) != 0, f&(1<<4) != 0
}

// match is a match of iptables: name, revision and a structure.
func (x *reading) match(a attributes) {
	info := a[3]
	switch a.text(1) {
	case "connlimit": // struct xt_connlimit_info
		const inverted = 1 // XT_CONNLIMIT_INVERT: "--connlimit-upto"
		if len(info) >= 24 {
			mask := bytes.Trim(info[:16], "\x00")
			x.count(Count{Most: uint64(binary.NativeEndian.Uint32(info[16:])),
				Over: binary.NativeEndian.Uint32(info[20:])&inverted == 0,
				Each: len(mask) > 0})
			return
		}
	case "limit":
		x.rate(&Rate{})
	case "hashlimit":
		x.rate(hashlimit(a.number(2), info))
	case "tcp": // struct xt_tcp
		x.matchTCP(info)
		return
	case "conntrack", "state", "comment":
		x.matchState(a.text(1), info)
		return
	}
	x.rule.Plain = false
}

// hashlimit reads whether the rule is of those above the rate: struct xt_hashlimit_mtinfo1 to 3,
// XT_HASHLIMIT_INVERT.
func hashlimit(revision uint64, info []byte) *Rate {
	const inverted = 1 << 4
	at := 272 // behind name[255], avg and burst of 64 bits
	if revision < 2 {
		at = 16
	}
	if len(info) < at+4 {
		return &Rate{}
	}
	return &Rate{Over: binary.NativeEndian.Uint32(info[at:])&inverted != 0, Each: true}
}

// matchTCP reads ports and flags of struct xt_tcp: spts, dpts, option, mask, comparison, inversion.
func (x *reading) matchTCP(info []byte) {
	if len(info) < 12 {
		x.rule.Plain = false
		return
	}
	x.rule.Protocol = unix.IPPROTO_TCP
	at := func(i int) uint16 { return binary.NativeEndian.Uint16(info[i:]) }
	low, high := at(4), at(6)
	switch {
	case low == high:
		x.rule.Port = low
	case low != 0 || high != 65535:
		x.rule.Plain = false
	}
	mask, want := info[9], info[10]
	switch {
	case mask != 0 && want == 2: // SYN
		x.rule.New = true
	case mask != 0:
		x.rule.Plain = false
	}
	if at(0) != 0 || at(2) != 65535 || info[8] != 0 || info[11] != 0 {
		x.rule.Plain = false
	}
}

// matchState knows a comment, which decides nothing; "NEW" alone is not read from the structures of
// the others, which differ by revision.
func (x *reading) matchState(name string, _ []byte) {
	if name != "comment" {
		x.rule.Plain = false
	}
}

// target is a target of iptables.
func (x *reading) target(a attributes) {
	switch name := a.text(1); name {
	case "MASQUERADE", "SNAT":
		x.rule.NAT = rangeOf(name, a.number(2), a[3])
		if x.rule.NAT == nil {
			x.rule.NAT = &NAT{Masquerade: true, Unread: true}
		}
	case "REJECT":
		x.rule.Verdict = "reject"
	default:
		x.rule.Verdict = strings.ToLower(x.rule.Verdict)
	}
}

// rangeOf reads struct nf_nat_ipv4_multi_range_compat (a number, and one range of flags, two
// addresses and two ports) of IPv4, or struct nf_nat_range (flags, two addresses of 16 bytes, two
// ports) of IPv6 and of revision 1.
func rangeOf(name string, revision uint64, info []byte) *NAT {
	const (
		addresses = 1 << 0 // NF_NAT_RANGE_MAP_IPS
		ports     = 1 << 1 // NF_NAT_RANGE_PROTO_SPECIFIED
	)
	size, from := 4, 4
	if len(info) >= 40 || revision > 0 {
		size, from = 16, 0
	}
	if len(info) < from+4+2*size+4 {
		return nil
	}
	flags := binary.NativeEndian.Uint32(info[from:])
	n := &NAT{Masquerade: name == "MASQUERADE", Random: flags&(1<<2) != 0,
		FullyRandom: flags&(1<<4) != 0}
	b := info[from+4:]
	if flags&addresses != 0 {
		n.Low, _ = netip.AddrFromSlice(b[:size])
		n.High, _ = netip.AddrFromSlice(b[size : 2*size])
	}
	if flags&ports != 0 {
		n.Ports = [2]uint16{binary.BigEndian.Uint16(b[2*size:]),
			binary.BigEndian.Uint16(b[2*size+2:])}
	}
	return n
}
