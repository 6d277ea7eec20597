//go:build linux

package link

import "encoding/binary"

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
	eachAttr(b, func(kind uint16, v []byte) error {
		if kind == want && found == nil {
			found = v
		}
		return nil
	})
	return found
}
