package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

// lift raises the table to that many entries: always the hash table with the maximum, one
// bucket an entry as the kernel itself has it since 5.15 (d532bcd0b269). Both files are
// read-only in a child namespace (since 5.13; before, a write there changed the host
// without being seen from it), so there it is left to the initial one.
func (t conntrackTable) lift(need int64) (out []Remedy) {
	to := roundUp(min(max(need, t.max), 1<<30))
	if t.max < to && t.buckets < to {
		out = append(out, t.moreBuckets(to))
	}
	if t.max < to {
		out = append(out, t.moreEntries(need, to))
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "rules that exempt ports from tracking (notrack in nft, " +
			"-j CT --notrack in the raw table) where neither NAT nor a " +
			"stateful rule needs it: their connections take no entry",
		TakesEffect: "at the next connection",
	}, Remedy{
		Kind: ByApplication,
		Text: "keep connections and use them again: each closed one " +
			"keeps its entry for a while",
		TakesEffect: AtStart,
	})
}

func (t conntrackTable) moreBuckets(to int64) Remedy {
	m := Remedy{Kind: BySetting, Setting: conntrackBuckets.Name, To: itoa(to),
		Text: "the hash table grows with the maximum, so that each packet finds its " +
			"entry fast; " + wholeMiB(to*8),
		Sum: "one bucket for each of " + figure.Count(to) + " entries",
		Cost: mebibytes(to*8) +
			" of kernel memory at once (8 bytes a bucket), in place of " +
			mebibytes(t.buckets*8),
		Risk:  "the table is built anew: packets wait for some milliseconds",
		Lasts: untilBoot + "; the option hashsize of the module nf_conntrack keeps it",
	}
	if t.bucketsKnown {
		m.From = itoa(t.buckets)
	}
	return t.inInitial(m, conntrackBuckets)
}

func (t conntrackTable) moreEntries(need, to int64) Remedy {
	bytes := "up to " + wholeMiB((to-t.max)*t.entryBytes) + " more when full (" +
		figure.Count(t.entryBytes) + " bytes an entry"
	if !t.sure {
		bytes += " at least"
	}
	return t.inInitial(Remedy{Kind: BySetting, Setting: conntrackMax.Name, From: itoa(t.max),
		To:   itoa(to),
		Text: "more entries, " + bytes + "), never without its hash table",
		Sum:  figure.Count(need) + " entries, up to the next power of two",
		Cost: bytes + ")",
		Risk: "one value for the host: each of its network namespaces may fill as many",
		Lasts: untilBoot +
			"; the key is there only after the module nf_conntrack has been loaded",
	}, conntrackMax)
}

// inInitial makes the remedy a change where the file can be written. Without the size of
// the hash table nothing is changed: the maximum never goes up without it.
func (t conntrackTable) inInitial(m Remedy, f host.Fact) Remedy {
	m.TakesEffect = Now
	switch {
	case t.child:
		m.TakesEffect =
			"now; it has to be written in the initial network namespace, here the " +
				"file is read-only"
	case t.bucketsKnown:
		m.Change = host.Setting{Fact: f, Want: m.To}
	}
	return m
}

// wholeMiB rounds up, as for memory that has to be there.
func wholeMiB(bytes int64) string { return figure.Count((bytes+(1<<20-1))>>20) + " MiB" }
