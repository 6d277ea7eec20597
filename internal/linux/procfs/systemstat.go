package procfs

import (
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
