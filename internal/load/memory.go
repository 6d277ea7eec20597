//go:build linux

package load

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// Memory is what the host has, in bytes. MemAvailable is not asked: it counts inodes and
// dentries of open sockets as reclaimable, which they are not, and said 8.8 GB where 3.9 GB
// were left (measured, Linux 6.18, 2,500,000 pairs).
type Memory struct {
	Total int64
	// MemFree + file pages of the page cache: what can be had without closing anything
	Free int64
	Slab int64
}

func readMemory() (m Memory, ok bool) {
	b, err := procfs.Root("").Read("meminfo")
	if err != nil {
		return m, false
	}
	f, err := procfs.ParseMeminfo(b)
	if err != nil {
		return m, false
	}
	kB := func(name string) int64 { return int64(f[name]) << 10 }
	// Shared memory is on the anonymous lists: these two are files only (mm/vmscan.c).
	return Memory{kB("MemTotal"), kB("MemFree") + kB("Active(file)") + kB("Inactive(file)"),
		kB("Slab")}, f["MemTotal"] > 0
}

// keepFree is what is left alone unless the user says otherwise: a sixteenth, at least half
// a GiB, or a quarter of a small machine.
func keepFree(m Memory) int64 { return max(m.Total/16, min(512<<20, m.Total/4)) }

// resident is the resident memory of this process, in bytes, 0 where it is unknown.
func resident() int64 {
	b, err := procfs.Root("").Read("self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"),
				10, 64)
			return n << 10
		}
	}
	return 0
}

func readSockstat() (s Sockstat, ok bool) {
	figures := map[string]*int64{
		"TCP.inuse":  &s.Inuse,
		"TCP6.inuse": &s.Inuse,
		"TCP.tw":     &s.TimeWait,
		"TCP.orphan": &s.Orphans,
		"TCP.alloc":  &s.Alloc,
		"TCP.mem":    &s.Pages,
	}
	for _, name := range []string{"net/sockstat", "net/sockstat6"} {
		b, err := procfs.Root("").Read(name)
		if err != nil {
			if name == "net/sockstat6" {
				break // a kernel without IPv6
			}
			return s, false
		}
		err = procfs.ParseSockstat(b, func(proto, name, value string) {
			if to := figures[proto+"."+name]; to != nil {
				n, _ := strconv.ParseInt(value, 10, 64)
				*to += n
			}
		})
		if err != nil {
			return s, false
		}
	}
	return s, true
}

// counters are those of /proc/net/netstat and snmp in this network namespace.
func counters() map[string]int64 {
	all := map[string]int64{}
	for _, name := range []string{"net/netstat", "net/snmp"} {
		b, err := procfs.Root("").Read(name)
		if err != nil {
			continue
		}
		// what is well formed is delivered
		_ = procfs.ParseCounters(b, func(proto, name, value string) {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				all[proto+"."+name] = n
			}
		})
	}
	return all
}
