package persist

import "strings"

// iniEntry is one assignment of a file with sections: a unit, a profile of TuneD.
type iniEntry struct {
	section, key, value string
	line                int
}

// parseINI reads "key = value" lines; # and ; begin comments; a backslash at the end joins
// lines, as in unit files.
func parseINI(data []byte) (out []iniEntry) {
	section, joined, number := "", "", 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			joined += rest + " "
			continue
		}
		line, joined = joined+line, ""
		if line[0] == '[' && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok {
			out = append(out, iniEntry{section, strings.TrimSpace(key),
				strings.TrimSpace(value), number})
		}
	}
	return out
}
