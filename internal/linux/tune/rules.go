//go:build linux

package tune

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// chain is one that hangs in a hook, in a table of its own.
type chain struct {
	name, kind     string
	hook, priority uint32
}

// ruleBatch makes a table, a chain in it and a rule with these expressions; last is the number of
// the last message that is acknowledged.
func ruleBatch(c chain, expressions ...[]byte) (batch []byte, last uint32) {
	const create = unix.NLM_F_CREATE | unix.NLM_F_ACK
	table := "maxconn-" + c.name
	batch = message(batch, batchBegin, 0, 1, unix.AF_UNSPEC, nfTables, nil)
	batch = message(batch, newTable, create, 2, familyIPv4, 0, text(1, table))
	hook := slices.Concat(number(1, c.hook), number(2, c.priority))
	batch = message(batch, newChain, create, 3, familyIPv4, 0, slices.Concat(text(1, table),
		text(3, c.name), attribute(4|nested, hook), text(7, c.kind)))
	batch = message(batch, newRule, create|unix.NLM_F_APPEND, 4, familyIPv4, 0,
		slices.Concat(text(1, table), text(2, c.name),
			attribute(4|nested, slices.Concat(expressions...))))
	return message(batch, batchEnd, 0, 5, unix.AF_UNSPEC, nfTables, nil), 4
}

// expression is one of a rule's list: its name and its attributes.
func expression(name string, attributes []byte) []byte {
	return attribute(1|nested, slices.Concat(text(1, name), attribute(2|nested, attributes)))
}

// value is NFTA_DATA_VALUE in an attribute.
func value(kind uint16, v ...byte) []byte {
	return attribute(kind|nested, attribute(1, v))
}

// toPort are expressions that let only TCP to a port pass on.
func toPort(port uint16) []byte {
	const protocol = 16                                      // NFT_META_L4PROTO
	const transport = 2                                      // NFT_PAYLOAD_TRANSPORT_HEADER
	meta := slices.Concat(number(1, 1), number(2, protocol)) // into register 1
	load := slices.Concat(number(1, 1), number(2, transport), number(3, 2), number(4, 2))
	equals := func(v ...byte) []byte {
		return expression("cmp", slices.Concat(number(1, 1), number(2, 0), value(3, v...)))
	}
	return slices.Concat(expression("meta", meta), equals(unix.IPPROTO_TCP),
		expression("payload", load), equals(byte(port>>8), byte(port)))
}

// Sources is how TCP connections to a port are given another source.
type Sources struct {
	Port      uint16     // of the destination
	To        netip.Addr // IPv4
	Low, High uint16     // ports; 0 where the kernel is to choose from all
}

// RewriteSources adds a rule of nf_tables for IPv4 that does so (SNAT), as a router has. It needs
// CAP_NET_ADMIN and a kernel with nf_tables, nft_chain_nat and nft_nat, built in or loaded.
func RewriteSources(s Sources) error {
	if err := addRules(sourceRules(s)); err != nil {
		return &Error{Op: "add a rule for", Subject: "SNAT", Err: err}
	}
	return nil
}

func sourceRules(s Sources) ([]byte, uint32) {
	load := func(register uint32, v ...byte) []byte {
		return expression("immediate", slices.Concat(number(1, register), value(2, v...)))
	}
	to := s.To.As4()
	list := [][]byte{toPort(s.Port), load(1, to[:]...)}
	nat := slices.Concat(number(1, 0), number(2, familyIPv4), number(3, 1), number(4, 1))
	if s.Low != 0 {
		list = append(list, load(2, byte(s.Low>>8), byte(s.Low)),
			load(3, byte(s.High>>8), byte(s.High)))
		nat = slices.Concat(nat, number(5, 2), number(6, 3))
	}
	list = append(list, expression("nat", nat))
	return ruleBatch(chain{name: "snat", kind: "nat", hook: hookPostRouting, priority: 100},
		list...)
}

// Allowance is how many TCP connections a rule lets in.
type Allowance struct {
	Port uint16
	Most uint32
}

// AllowConnections adds a rule of nf_tables for IPv4 that drops new connections to a port beyond so
// many ("ct state new ct count over"), with a counter. It needs CAP_NET_ADMIN and a kernel with
// nf_tables and nft_connlimit, built in or loaded.
func AllowConnections(a Allowance) error {
	if err := addRules(allowanceRules(a)); err != nil {
		return &Error{Op: "add a rule for", Subject: fmt.Sprintf("port %d", a.Port),
			Err: err}
	}
	return nil
}

func allowanceRules(a Allowance) ([]byte, uint32) {
	const over, drop = 1, 0 // NFT_CONNLIMIT_F_INV, NF_DROP
	verdict := attribute(2|nested, attribute(2|nested, number(1, drop)))
	return ruleBatch(chain{name: "count", kind: "filter", hook: hookLocalIn}, toPort(a.Port),
		newConnections(),
		expression("connlimit", slices.Concat(number(1, a.Most), number(2, over))),
		expression("counter", attribute(1, binary.BigEndian.AppendUint64(nil, 0))),
		expression("immediate", slices.Concat(number(1, 0), verdict)))
}

// newConnections are expressions that let only packets of new connections pass on (NFT_CT_STATE &
// NF_CT_STATE_BIT(IP_CT_NEW), of the host's byte order, is not 0).
func newConnections() []byte {
	const state, isNew, unequal = 0, 8, 1
	bit := binary.NativeEndian.AppendUint32(nil, isNew)
	none := make([]byte, 4)
	return slices.Concat(
		expression("ct", slices.Concat(number(1, 1), number(2, state))),
		expression("bitwise", slices.Concat(number(1, 1), number(2, 1), number(3, 4),
			value(4, bit...), value(5, none...))),
		expression("cmp", slices.Concat(number(1, 1), number(2, unequal),
			value(3, none...))))
}
