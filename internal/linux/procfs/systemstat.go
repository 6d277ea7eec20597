package procfs

import (
	"slices"
	"strconv"
	"strings"
)

// SystemStat is what maxconn reads of /proc/stat.
type SystemStat struct {
	BootTime uint64 // seconds since 1970
	CPUs     int    // online now
}

// ParseSystemStat reads /proc/stat. Both figures must be there.
func ParseSystemStat(b []byte) (SystemStat, error) {
	l, err := wholeLines("stat", b)
	if err != nil {
		return SystemStat{}, err
	}
	var s SystemStat
	booted := false
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		name, text, _ := strings.Cut(line, " ")
		if isCPU(name) {
			s.CPUs++
		}
		if name != "btime" {
			continue
		}
		if s.BootTime, err = l.number("btime", strings.TrimSpace(text)); err != nil {
			return SystemStat{}, err
		}
		booted = true
	}
	if !booted {
		return SystemStat{}, l.wholef("no btime line")
	}
	if s.CPUs == 0 {
		return SystemStat{}, l.wholef("no line of a CPU")
	}
	return s, nil
}

// isCPU tells "cpu0" from "cpu", which is the sum.
func isCPU(name string) bool {
	text, ok := strings.CutPrefix(name, "cpu")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(text, 10, 32)
	return err == nil
}

// Loadavg is what maxconn reads of /proc/loadavg. Both figures are of the whole
// host, also when they are read inside a pid namespace (fs/proc/loadavg.c
// loadavg_proc_show).
type Loadavg struct {
	Running uint64 // threads that run or wait for a CPU
	Threads uint64 // threads that exist; kernel.threads-max bounds them
}

// ParseLoadavg reads /proc/loadavg, such as "0.20 0.18 0.12 1/80 11206".
func ParseLoadavg(b []byte) (Loadavg, error) {
	l, err := wholeLines("loadavg", b)
	if err != nil {
		return Loadavg{}, err
	}
	line, _ := l.next()
	words := strings.Fields(line)
	if len(words) != 5 {
		return Loadavg{}, l.errorf("%s has %d fields, want 5", clip(line), len(words))
	}
	for _, word := range words[:3] {
		if strings.Trim(word, "0123456789.") != "" {
			return Loadavg{}, l.errorf("load is %s, want a number", clip(word))
		}
	}
	running, threads, ok := strings.Cut(words[3], "/")
	if !ok {
		return Loadavg{}, l.errorf("%s is not running/threads", clip(words[3]))
	}
	var load Loadavg
	if load.Running, err = l.number("running", running); err != nil {
		return Loadavg{}, err
	}
	if load.Threads, err = l.number("threads", threads); err != nil {
		return Loadavg{}, err
	}
	return load, nil
}

// ParseMeminfo reads /proc/meminfo. A value is in the unit of the file, which
// is kB of 1024 bytes for every name but the HugePages_ ones, which are counts.
// A name that this kernel does not print (MemAvailable before 3.14) is not in
// the map.
func ParseMeminfo(b []byte) (map[string]uint64, error) {
	l, err := wholeLines("meminfo", b)
	if err != nil {
		return nil, err
	}
	memory := make(map[string]uint64)
	for {
		line, ok := l.next()
		if !ok {
			return memory, nil
		}
		name, text, ok := strings.Cut(line, ":")
		if !ok || !isName(name) {
			return nil, l.errorf("%s is not a name and a value", clip(line))
		}
		value := strings.TrimSuffix(strings.TrimSpace(text), " kB")
		n, err := l.number(clip(name), value)
		if err != nil {
			return nil, err
		}
		if _, seen := memory[name]; seen {
			return nil, l.errorf("%s appears twice", clip(name))
		}
		memory[name] = n
	}
}

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

// SoftnetColumn is the place of a column in softnet_stat, which has no header.
// Columns were only ever added at the end (net/core/net-procfs.c
// softnet_seq_show); distributions backport them, so the width of a row and not
// the release says which exist.
type SoftnetColumn int

const (
	SoftnetProcessed SoftnetColumn = 0 // packets
	// packets refused by a full backlog (net.core.netdev_max_backlog)
	SoftnetDropped SoftnetColumn = 1
	// runs cut short by net.core.netdev_budget; no packet is lost
	SoftnetSqueezed    SoftnetColumn = 2
	SoftnetReceivedRPS SoftnetColumn = 9 // 2.6.35 and later
	// 3.11 and later, 99bbc7074190; 0 also where CONFIG_NET_FLOW_LIMIT is off
	SoftnetFlowLimit SoftnetColumn = 10
	SoftnetBacklog   SoftnetColumn = 11 // packets waiting now; 5.10 and later, 7d58e6555870
	SoftnetCPU       SoftnetColumn = 12 // number of the CPU; 5.10 and later
	// packets in the input queue, part of the backlog; 6.4 and later, 59da2d7b0e99
	SoftnetInputQueue SoftnetColumn = 13
	// packets being worked off, the rest of it; 6.4 and later
	SoftnetProcessQueue SoftnetColumn = 14
)

// softnetLeast is the width of 2.6 kernels, the narrowest there is.
const softnetLeast = 9

// SoftnetRow is what one online CPU printed, all columns. The counters are 32
// bits wide in the kernel and wrap.
type SoftnetRow []uint64

// Column returns one column, or false where this kernel does not print it.
func (r SoftnetRow) Column(c SoftnetColumn) (uint64, bool) {
	if c < 0 || int(c) >= len(r) {
		return 0, false
	}
	return r[c], true
}

// ParseSoftnet reads /proc/net/softnet_stat: a row of hexadecimal columns for
// each online CPU of the host, whatever the network namespace. Rows of the
// narrowest known width (9) and wider are accepted, all of the same width.
func ParseSoftnet(b []byte) ([]SoftnetRow, error) {
	l, err := wholeLines("softnet_stat", b)
	if err != nil {
		return nil, err
	}
	var rows []SoftnetRow
	for {
		line, ok := l.next()
		if !ok {
			return rows, nil
		}
		row, err := l.hexRow(line)
		if err != nil {
			return nil, err
		}
		if len(row) < softnetLeast {
			return nil, l.errorf("%d columns, want %d or more", len(row), softnetLeast)
		}
		if len(rows) > 0 && len(row) != len(rows[0]) {
			return nil, l.errorf("%d columns, the first row has %d", len(row),
				len(rows[0]))
		}
		rows = append(rows, row)
	}
}

// hexRow reads a line of hexadecimal numbers.
func (l *lines) hexRow(line string) ([]uint64, error) {
	words := strings.Fields(line)
	row := make([]uint64, len(words))
	for i, word := range words {
		n, err := strconv.ParseUint(word, 16, 64)
		if err != nil {
			return nil, l.errorf("column %d is %s, want a hexadecimal number", i+1,
				clip(word))
		}
		row[i] = n
	}
	return row, nil
}

// ParseRouteStats reads /proc/net/rt6_stats: how many routes of IPv6 count against
// net.ipv6.route.max_size (net/ipv6/route.c rt6_stats_seq_show: dst_entries_get_slow).
func ParseRouteStats(b []byte) (entries uint64, err error) {
	l, err := wholeLines("rt6_stats", b)
	if err != nil {
		return 0, err
	}
	line, _ := l.next()
	words := strings.Fields(line)
	if len(words) != 7 {
		return 0, l.errorf("%s has %d fields, want 7", clip(line), len(words))
	}
	for i, word := range words {
		n, err := strconv.ParseUint(word, 16, 32)
		if err != nil {
			return 0, l.errorf("%s is not a hexadecimal number", clip(word))
		}
		if i == 5 {
			entries = n
		}
	}
	return entries, nil
}
