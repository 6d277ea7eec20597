package procfs

import "strings"

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
