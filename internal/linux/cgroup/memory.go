package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory is what limits the memory of a process.
type Memory struct {
	Place  Place
	Levels []MemoryLevel // from the process's own group upwards
	// there are ancestors above the last level that cannot be seen from here
	Above bool
}

// MemoryLevel is one group and what it and all groups below it use together.
// Amounts are bytes, but Hits, OOMKills and TCPHits are counts since the group
// was made.
type MemoryLevel struct {
	Path string // from the topmost visible group
	Dir  string

	Limit Amount // memory.max; limit_in_bytes in version 1
	High  Amount // memory.high, above which allocations are slowed; version 2 only
	Usage Amount // memory.current; usage_in_bytes

	// Hits is how often an allocation met Limit. HitsHere tells that only the
	// limit of this very group is counted; if false, memory.events may count
	// those of the groups below it as well (it does since 5.2, 9852ae3fe529;
	// memory.events.local came with 5.3).
	Hits     Amount
	HitsHere bool

	OOMKills Amount // processes killed, here or below; 4.13 and later

	// File is page cache that can be given back, of this group and those below:
	// on the lists of file pages, active and inactive.
	File Amount

	// Slab is kernel memory that can be given back: slab_reclaimable; version 2 only.
	Slab Amount
	// Swappable is memory of programs, which goes to swap where there is any: anon and
	// shmem, of this group and those below.
	Swappable Amount
	// Kernel is the part of Usage that is kernel memory, KernelLimit its own limit;
	// version 1 only (without effect since 5.16, 58056f77502f).
	Kernel, KernelLimit Amount

	// Sockets is the buffers of sockets: part of Usage in version 2
	// (memory.stat sock). In version 1 it is of TCP only, apart from Usage, and
	// counted only from the moment when TCPLimit is set.
	Sockets Amount

	TCPLimit Amount // memory.kmem.tcp.limit_in_bytes; version 1 only
	TCPHits  Amount // memory.kmem.tcp.failcnt; version 1 only
}

// Memory reads the levels of a place that Locate found for "memory". Figures
// that cannot be read are errors in their Amounts, also when the whole group
// has been removed meanwhile.
//
// It reads up to ten files a level, and memory.stat makes the kernel gather its
// per-CPU figures: with many processes, ask once for each Place.
func (t *Tree) Memory(place Place) Memory {
	m := Memory{Place: place, Above: !isWholeTree(place)}
	for i, at := range place.levels() {
		if i > 0 && place.Version == 1 && !binds(at.dir) {
			m.Above = false
			break
		}
		read := memoryV2
		if place.Version == 1 {
			read = memoryV1
		}
		m.Levels = append(m.Levels, read(at))
	}
	return m
}

// binds reports whether an ancestor in version 1 counts what its children use.
// Before 5.11 (bef8620cd8e0) that could be switched off, and was at the root
// where systemd did not switch it on.
func binds(dir string) bool {
	use := readAmount(dir, "memory.use_hierarchy")
	return !use.Known() || use.N != 0
}

func memoryV2(at level) MemoryLevel {
	l := MemoryLevel{
		Path:     at.path,
		Dir:      at.dir,
		Limit:    readAmount(at.dir, "memory.max"),
		High:     readAmount(at.dir, "memory.high"),
		Usage:    readAmount(at.dir, "memory.current"),
		OOMKills: readKeyed(at.dir, "memory.events", "oom_kill"),
		File:     readSum(at.dir, "memory.stat", "inactive_file", "active_file"),
		Sockets:  readKeyed(at.dir, "memory.stat", "sock"),
		Slab:     readKeyed(at.dir, "memory.stat", "slab_reclaimable"),
		// shmem is part of anon's lists and not of anon (mm/memcontrol.c memory_stats)
		Swappable:   readSum(at.dir, "memory.stat", "anon", "shmem"),
		Kernel:      notKept("count of kernel memory that has a limit", 2),
		KernelLimit: notKept("limit of kernel memory", 2),

		TCPLimit: notKept("limit for TCP alone", 2),
		TCPHits:  notKept("limit for TCP alone", 2),
	}
	l.Hits, l.HitsHere = readEvents(at.dir, "memory.events")
	return l
}

func memoryV1(at level) MemoryLevel {
	return MemoryLevel{
		Path:     at.path,
		Dir:      at.dir,
		Limit:    readAmount(at.dir, "memory.limit_in_bytes"),
		High:     notKept("memory.high", 1),
		Usage:    readAmount(at.dir, "memory.usage_in_bytes"),
		Hits:     readAmount(at.dir, "memory.failcnt"),
		HitsHere: true,
		OOMKills: readKeyed(at.dir, "memory.oom_control", "oom_kill"),
		File: readSum(at.dir, "memory.stat", "total_inactive_file",
			"total_active_file"),
		Slab:        notKept("slab_reclaimable", 1),
		Swappable:   readSum(at.dir, "memory.stat", "total_rss", "total_shmem"),
		Kernel:      readAmount(at.dir, "memory.kmem.usage_in_bytes"),
		KernelLimit: readAmount(at.dir, "memory.kmem.limit_in_bytes"),

		Sockets:  readAmount(at.dir, "memory.kmem.tcp.usage_in_bytes"),
		TCPLimit: readAmount(at.dir, "memory.kmem.tcp.limit_in_bytes"),
		TCPHits:  readAmount(at.dir, "memory.kmem.tcp.failcnt"),
	}
}

// readEvents reads the count "max" of a group alone where the kernel keeps it.
func readEvents(dir, name string) (hits Amount, here bool) {
	local := readKeyed(dir, name+".local", "max")
	if errors.Is(local.Err, fs.ErrNotExist) {
		return readKeyed(dir, name, "max"), false
	}
	return local, true
}

// Amount is a figure of a group: a number, "unlimited", or why it is not known.
type Amount struct {
	N         uint64 // meaningless if Unlimited or Err is set
	Unlimited bool
	Err       error // fs.ErrNotExist where the group, or this version, does not keep the figure
}

// Known reports whether the amount is a number.
func (a Amount) Known() bool { return a.Err == nil && !a.Unlimited }

// String returns the number, "unlimited" or "unknown".
func (a Amount) String() string {
	switch {
	case a.Err != nil:
		return "unknown"
	case a.Unlimited:
		return "unlimited"
	}
	return strconv.FormatUint(a.N, 10)
}

// notKept is the amount of a figure that this version of cgroups does not have.
func notKept(what string, version int) Amount {
	return Amount{Err: fmt.Errorf("cgroup version %d has no %s: %w", version, what,
		fs.ErrNotExist)}
}

// noLimit is the least number that stands for no limit in version 1: the kernel
// prints the largest multiple of its page size that fits into 63 bits
// (mm/page_counter.c PAGE_COUNTER_MAX; 9223372036854771712 for 4 KB pages).
const noLimit = 1 << 62

// parseAmount reads the content of a file with one figure.
func parseAmount(name string, b []byte) Amount {
	text := strings.TrimSpace(string(b))
	if text == "max" {
		return Amount{Unlimited: true}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return Amount{Err: fmt.Errorf("parse %s line 1: %s is not a number", name,
			clip(text))}
	}
	if n >= noLimit {
		return Amount{Unlimited: true}
	}
	return Amount{N: n}
}

func readAmount(dir, name string) Amount {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	return parseAmount(name, b)
}

// parseKeyed finds a figure in a file of lines such as "oom_kill 0".
func parseKeyed(name, key string, b []byte) Amount {
	all, err := wholeLines(name, b)
	if err != nil {
		return Amount{Err: err}
	}
	for i, line := range all {
		found, text, ok := strings.Cut(line, " ")
		if !ok {
			return Amount{Err: fmt.Errorf(
				"parse %s line %d: %s is not a name and a number", name, i+1,
				clip(line))}
		}
		if found != key {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Amount{Err: fmt.Errorf("parse %s line %d: %s is not a number", name,
				i+1, clip(text))}
		}
		return Amount{N: n}
	}
	return Amount{Err: fmt.Errorf("%s has no %s: %w", name, key, fs.ErrNotExist)}
}

func readKeyed(dir, name, key string) Amount {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	return parseKeyed(name, key, b)
}

// readSum adds up figures of one file. It is known where all of them are.
func readSum(dir, name string, keys ...string) (sum Amount) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return Amount{Err: err}
	}
	for _, key := range keys {
		a := parseKeyed(name, key, b)
		if a.Err != nil {
			return a
		}
		sum.N += a.N
	}
	return sum
}

// Pids is what limits the number of threads of a process.
type Pids struct {
	Place  Place
	Levels []PidsLevel // from the process's own group upwards
	Above  bool        // there are ancestors above the last level that cannot be seen from here
}

// PidsLevel is one group and the threads in it and in all groups below it. The
// root of a hierarchy keeps none of these figures.
type PidsLevel struct {
	Path string // from the topmost visible group
	Dir  string

	Limit Amount // pids.max
	Usage Amount // pids.current, threads

	// Refused is how many times a fork was refused. RefusedHere tells what
	// that counts: the limit of this very group, or else forks of this group's
	// own threads, whichever ancestor's limit refused them (version 1, and
	// version 2 before pids.events.local, 6.11, 3f26a885a068).
	Refused     Amount
	RefusedHere bool
}

// Pids reads the levels of a place that Locate found for "pids". Figures that
// cannot be read are errors in their Amounts.
func (t *Tree) Pids(place Place) Pids {
	p := Pids{Place: place, Above: !isWholeTree(place)}
	for _, at := range place.levels() {
		l := PidsLevel{
			Path:  at.path,
			Dir:   at.dir,
			Limit: readAmount(at.dir, "pids.max"),
			Usage: readAmount(at.dir, "pids.current"),
		}
		l.Refused, l.RefusedHere = readEvents(at.dir, "pids.events")
		p.Levels = append(p.Levels, l)
	}
	return p
}
