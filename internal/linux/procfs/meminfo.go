package procfs

import "strings"

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
