//go:build linux

package vm

import (
	"slices"
	"strings"
)

// Newest is the series of the newest kernel that Debian has.
const Newest = "newest"

// source is where a series is found.
type source struct {
	series string
	suites []string // tried in this order
}

// sources lists Debian's stable kernels that are still maintained, and the newest.
func sources() []source {
	return []source{
		{"5.10", []string{"bullseye"}},
		{"6.1", []string{"bookworm"}},
		{"6.12", []string{"trixie", "bookworm-backports"}},
		{Newest, []string{"sid", "trixie-backports"}},
	}
}

// Series lists what Fetch can fetch, the oldest first.
func Series() []string {
	var all []string
	for _, s := range sources() {
		all = append(all, s.series)
	}
	return all
}

func suitesOf(series string) []string {
	i := slices.IndexFunc(sources(), func(s source) bool { return s.series == series })
	if i < 0 {
		return nil
	}
	return sources()[i].suites
}

// belongs tells whether a release is of the series.
func belongs(release, series string) bool {
	return series == Newest || strings.HasPrefix(release, series+".")
}
