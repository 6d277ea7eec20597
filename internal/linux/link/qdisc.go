//go:build linux

package link

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// Qdisc is one queueing discipline of a device.
type Qdisc struct {
	Kind   string // "pfifo_fast", "fq_codel", "htb", "noqueue", ...
	Handle uint32 // major number in the upper half
	Parent uint32 // handle of the class it hangs under, or TC_H_ROOT, TC_H_INGRESS
	// Limit is what may wait in it, nil where the kernel does not tell. pfifo_fast
	// does not: each of its three bands takes the device's TxQueueLen packets
	// (net/sched/sch_generic.c pfifo_fast_init).
	Limit *Limit
	Stats *QdiscStats // nil when the kernel sent none
}

// Limit is a size with its unit, "packets" or "bytes". For htb it is that of the
// direct queue, for unclassified packets; its classes have queues of their own.
type Limit struct {
	Value uint64
	Unit  string
}

// QdiscStats are from struct gnet_stats_basic and gnet_stats_queue
// (include/uapi/linux/gen_stats.h), since the discipline was attached.
type QdiscStats struct {
	Bytes      uint64 // sent
	Packets    uint64 // sent; 32 bits wide before Linux 5.5
	Queued     uint32 // packets waiting now
	Backlog    uint32 // bytes waiting now
	Drops      uint32
	Requeues   uint32 // put back because the driver was busy; not lost
	Overlimits uint32 // delayed to keep a rate; not lost
}

// Root reports whether packets that leave the device enter here.
func (q Qdisc) Root() bool { return q.Parent == tcHRoot }

// HandleString spells a handle as tc(8) does: 8001:, or 1:10 for a class.
func HandleString(h uint32) string {
	switch {
	case h == tcHRoot:
		return "root"
	case h&0xffff == 0:
		return fmt.Sprintf("%x:", h>>16)
	}
	return fmt.Sprintf("%x:%x", h>>16, h&0xffff)
}

// include/uapi/linux/pkt_sched.h, rtnetlink.h and gen_stats.h
const (
	tcHRoot = 0xffffffff

	tcaKind    = 1
	tcaOptions = 2
	tcaStats2  = 7

	tcaStatsBasic = 1
	tcaStatsQueue = 3
	tcaStatsPkt64 = 8

	sizeofTcmsg = 20
)

// parseQdisc reads the payload of RTM_NEWQDISC: struct tcmsg and attributes. It
// gives the index of the device.
func parseQdisc(m []byte) (int, Qdisc, error) {
	if len(m) < sizeofTcmsg {
		return 0, Qdisc{}, nlattr.ErrShort
	}
	index := int(int32(binary.NativeEndian.Uint32(m[4:])))
	q := Qdisc{Handle: binary.NativeEndian.Uint32(m[8:]),
		Parent: binary.NativeEndian.Uint32(m[12:])}
	var options []byte
	err := nlattr.Each(m[sizeofTcmsg:], func(kind uint16, v []byte) error {
		switch kind {
		case tcaKind:
			q.Kind = text(v)
		case tcaOptions:
			options = v
		case tcaStats2:
			return q.setStats(v)
		}
		return nil
	})
	if err != nil {
		return 0, Qdisc{}, err
	}
	if q.Kind == "" {
		return 0, Qdisc{}, fmt.Errorf("qdisc %s of device %d has no kind",
			HandleString(q.Handle), index)
	}
	q.Limit = limitOf(q.Kind, options)
	return index, q, nil
}

// setStats reads TCA_STATS2. The older TCA_STATS, sent as well, has no requeues.
func (q *Qdisc) setStats(v []byte) error {
	var s QdiscStats
	seen := map[uint16]bool{}
	err := nlattr.Each(v, func(kind uint16, v []byte) error {
		seen[kind] = true
		return s.set(kind, v)
	})
	if err == nil && seen[tcaStatsBasic] && seen[tcaStatsQueue] {
		q.Stats = &s
	}
	return err
}

func (s *QdiscStats) set(kind uint16, v []byte) error {
	switch kind {
	case tcaStatsBasic: // comes before TCA_STATS_PKT64
		if len(v) < 12 {
			return nlattr.ErrShort
		}
		s.Bytes = binary.NativeEndian.Uint64(v)
		s.Packets = uint64(binary.NativeEndian.Uint32(v[8:]))
	case tcaStatsPkt64: // Linux 5.5, only when 32 bits do not suffice
		if len(v) < 8 {
			return nlattr.ErrShort
		}
		s.Packets = binary.NativeEndian.Uint64(v)
	case tcaStatsQueue:
		return s.setQueue(v)
	}
	return nil
}

func (s *QdiscStats) setQueue(v []byte) error {
	if len(v) < 20 {
		return nlattr.ErrShort
	}
	for i, to := range []*uint32{&s.Queued, &s.Backlog, &s.Drops, &s.Requeues, &s.Overlimits} {
		*to = binary.NativeEndian.Uint32(v[4*i:])
	}
	return nil
}

// rootFirst orders the disciplines of one device: the root, its children by the
// class they hang under, and then what sits on the ingress side.
func rootFirst(a, b Qdisc) int {
	// TC_H_ROOT is the highest number and so comes first when it becomes 0.
	return cmp.Or(cmp.Compare(a.Parent+1, b.Parent+1), cmp.Compare(a.Handle, b.Handle))
}

// limitAt says where the options of a kind of queueing discipline hold its
// limit: in a structure at the beginning, or in an attribute, and how far inside.
type limitAt struct {
	attr   uint16 // 0: no attributes, or a structure before them
	offset int
	unit   string
}

// limitPlaces is from the dump function of each net/sched/sch_KIND.c and the
// structures in include/uapi/linux/pkt_sched.h. Kinds that are missing there have
// no limit of their own (mq, prio, ingress, ...) or do not tell it (pfifo_fast).
func limitPlaces() map[string]limitAt {
	return map[string]limitAt{
		"pfifo":           {offset: 0, unit: "packets"}, // struct tc_fifo_qopt
		"bfifo":           {offset: 0, unit: "bytes"},
		"pfifo_head_drop": {offset: 0, unit: "packets"},
		"netem":           {offset: 4, unit: "packets"}, // struct tc_netem_qopt
		"sfq":             {offset: 8, unit: "packets"}, // struct tc_sfq_qopt
		// TCA_TBF_PARMS, struct tc_tbf_qopt
		"tbf": {attr: 1, offset: 24, unit: "bytes"},
		// TCA_RED_PARMS, struct tc_red_qopt
		"red":   {attr: 1, offset: 0, unit: "bytes"},
		"choke": {attr: 1, offset: 0, unit: "packets"}, // TCA_CHOKE_PARMS
		// TCA_HTB_DIRECT_QLEN, Linux 3.9
		"htb":      {attr: 5, offset: 0, unit: "packets"},
		"fq":       {attr: 1, offset: 0, unit: "packets"}, // TCA_FQ_PLIMIT
		"fq_codel": {attr: 2, offset: 0, unit: "packets"}, // TCA_FQ_CODEL_LIMIT
		"codel":    {attr: 2, offset: 0, unit: "packets"}, // TCA_CODEL_LIMIT
		"pie":      {attr: 2, offset: 0, unit: "packets"}, // TCA_PIE_LIMIT
		// TCA_FQ_PIE_LIMIT, Linux 5.6
		"fq_pie": {attr: 1, offset: 0, unit: "packets"},
		"hhf":    {attr: 1, offset: 0, unit: "packets"}, // TCA_HHF_BACKLOG_LIMIT
	}
}

// limitOf finds the limit of a discipline in its TCA_OPTIONS, or nil.
func limitOf(kind string, options []byte) *Limit {
	place, ok := limitPlaces()[kind]
	if !ok {
		return nil
	}
	if place.attr != 0 {
		options = findAttr(options, place.attr)
	}
	if len(options) < place.offset+4 {
		return nil
	}
	return &Limit{uint64(binary.NativeEndian.Uint32(options[place.offset:])), place.unit}
}

// findAttr is nil for an attribute that is absent or behind a malformed one.
func findAttr(b []byte, want uint16) (found []byte) {
	nlattr.Each(b, func(kind uint16, v []byte) error {
		if kind == want && found == nil {
			found = v
		}
		return nil
	})
	return found
}
