//go:build linux

package netfilter

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// Rule is a rule of nf_tables that bears on connections.
type Rule struct {
	Family       string // "ip", "ip6", "inet" and so on
	Table, Chain string
	Handle       uint64

	NAT   *NAT   // it rewrites sources
	Count *Count // it counts connections
	Rate  *Rate  // it limits how often something passes

	// Verdict is "drop", "reject", "accept", "return", "jump" or "goto" (To a chain), ""
	// where the rule has none.
	Verdict, To string
	Packets     uint64 // of the counter behind what limits, where Counted
	Counted     bool

	Protocol uint8  // the only one that it looks at, 0 for any
	Port     uint16 // the only destination port, 0 for any
	New      bool   // new connections alone (ct state new, or SYN)
	// Plain says that nothing else in it decides about which packets it is.
	Plain bool
}

// NAT is how sources are rewritten.
type NAT struct {
	Masquerade  bool // to the address of the device
	Low, High   netip.Addr
	Ports       [2]uint16 // first and last; 0 where the rule names none
	Unread      bool      // the ports come from a map
	Random      bool      // "random", which new kernels do anyway
	FullyRandom bool
}

// Count is connlimit: Most connections at once.
type Count struct {
	Most uint64
	Over bool // it is of those beyond
	Each bool // of each address or key by itself
}

// Rate is Packets in Seconds and Burst at once; Packets is 0 where the figures are not known.
type Rate struct {
	Packets, Seconds, Burst uint64
	Over                    bool
	Each                    bool
}

// Bears says whether the rule limits or rewrites connections, or may.
func (r *Rule) Bears() bool {
	return r.NAT != nil || r.Protocol != unix.IPPROTO_ICMP &&
		r.Protocol != unix.IPPROTO_ICMPV6 && r.Protocol != unix.IPPROTO_UDP &&
		(r.Count != nil || r.Rate != nil) && r.Verdict != ""
}

// include/uapi/linux/netfilter/nf_tables.h
const (
	nftGetChain, nftNewChain = 0xa04, 0xa03
	nftGetRule, nftNewRule   = 0xa07, 0xa06

	ruleTable, ruleChain, ruleHandle, ruleExpressions = 1, 2, 3, 4
	exprName, exprData                                = 1, 2

	verdictReg = 0 // NFT_REG_VERDICT
)

var families = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// parseRule reads the attributes of NFT_MSG_NEWRULE.
func parseRule(family byte, b []byte) (Rule, error) {
	a, err := parse(b)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Family: families[family], Table: a.text(ruleTable), Chain: a.text(ruleChain),
		Handle: a.number(ruleHandle), Plain: true}
	reading := reading{rule: &r, registers: map[uint64]loaded{}}
	err = nlattr.Each(a[ruleExpressions], func(_ uint16, v []byte) error {
		e, err := parse(v)
		if err != nil {
			return err
		}
		data, err := parse(e[exprData])
		if err == nil {
			err = reading.expression(e.text(exprName), data)
		}
		return err
	})
	return r, err
}
