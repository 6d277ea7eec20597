package procfs

import (
	"slices"
	"strings"
)

// Slab is one cache of kernel objects.
type Slab struct {
	Name          string
	ActiveObjects uint64
	Objects       uint64 // active and free
	ObjectSize    uint64 // bytes each object takes, with its padding
}

// Slabs are the caches of a host.
type Slabs []Slab

// Cache returns the cache of a name, or false where there is none. A missing
// cache does not mean that no such object exists: SLUB merges caches of equal
// layout under the name of the first (mm/slab_common.c find_mergeable; boot
// option slab_nomerge). Older kernels have one nf_conntrack cache for each
// network namespace, named nf_conntrack_ADDRESS, which this does not find.
func (s Slabs) Cache(name string) (Slab, bool) {
	i := slices.IndexFunc(s, func(c Slab) bool { return c.Name == name })
	if i < 0 {
		return Slab{}, false
	}
	return s[i], true
}

// slabColumns are those that ParseSlabinfo reads, as the header spells them.
const slabColumns = "# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"

// slabFields is how many of slabColumns are numbers.
const slabFields = 5

// ParseSlabinfo reads /proc/slabinfo version 2, which only root can read. What
// follows the first colon of a row (tunables, slabdata, debug counters) is not
// read.
func ParseSlabinfo(b []byte) (Slabs, error) {
	l, err := wholeLines("slabinfo", b)
	if err != nil {
		return nil, err
	}
	if line, _ := l.next(); !strings.HasPrefix(line, "slabinfo - version: 2.") {
		return nil, l.errorf("%s, want slabinfo - version: 2", clip(line))
	}
	head, _ := l.next()
	columns, _, _ := strings.Cut(head, " :")
	if strings.Join(strings.Fields(columns), " ") != slabColumns {
		return nil, l.errorf("%s is not the header of version 2", clip(head))
	}
	var slabs Slabs
	for {
		line, ok := l.next()
		if !ok {
			return slabs, nil
		}
		slab, err := l.slab(line)
		if err != nil {
			return nil, err
		}
		slabs = append(slabs, slab)
	}
}

// slab reads a row from its right end: the name of an old cache may hold
// spaces.
func (l *lines) slab(line string) (Slab, error) {
	text, _, ok := strings.Cut(line, " : ")
	words := strings.Fields(text)
	if !ok || len(words) < slabFields+1 {
		return Slab{}, l.errorf("%s is not the row of a cache", clip(line))
	}
	split := len(words) - slabFields
	var n [slabFields]uint64
	for i, word := range words[split:] {
		var err error
		if n[i], err = l.number("column "+strings.Fields(slabColumns)[i+2],
			word); err != nil {
			return Slab{}, err
		}
	}
	name := strings.Join(words[:split], " ")
	return Slab{Name: name, ActiveObjects: n[0], Objects: n[1], ObjectSize: n[2]}, nil
}
