package prove

import (
	"strconv"
	"strings"
)

// older says whether a kernel release ("6.1.0-50-cloud-amd64") is before a version
// ("6.3"). An unreadable release is not older: the trial will find out.
func older(release, version string) bool {
	a, okA := numbers(release)
	b, okB := numbers(version)
	if !okA || !okB {
		return false
	}
	if a[0] != b[0] {
		return a[0] < b[0]
	}
	return a[1] < b[1]
}

// numbers are major and minor of a release.
func numbers(release string) (v [2]int, ok bool) {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return v, false
	}
	for i := range v {
		digits := strings.TrimRight(parts[i], "+-abcdefghijklmnopqrstuvwxyz")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}
