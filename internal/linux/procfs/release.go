package procfs

import (
	"strconv"
	"strings"
)

// Release is the release of a kernel. A distribution's kernel carries fixes
// and features of later ones, and some freeze Patch (5.10.0-28 of a
// distribution may hold all of 5.10.209): ask the kernel where that matters.
type Release struct {
	Major, Minor, Patch int
	Text                string // as the kernel prints it
}

// AtLeast reports whether the release is major.minor or later.
func (r Release) AtLeast(major, minor int) bool {
	return r.Major > major || r.Major == major && r.Minor >= minor
}

// ParseRelease reads kernel.osrelease or the release of uname: three numbers
// and what follows them, such as 6.1.0-28-cloud-amd64 or 4.18.0-553.el8.x86_64.
func ParseRelease(text string) (Release, error) {
	l := newLines("kernel release", nil)
	r := Release{Text: strings.TrimSpace(text)}
	rest := r.Text
	for i, to := range []*int{&r.Major, &r.Minor, &r.Patch} {
		if i > 0 {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, "."); !ok {
				return Release{}, l.wholef("%s does not begin with three numbers", clip(r.Text))
			}
		}
		n, after, ok := leadingNumber(rest)
		if !ok {
			return Release{}, l.wholef("%s does not begin with three numbers", clip(r.Text))
		}
		*to, rest = n, after
	}
	return r, nil
}

func leadingNumber(s string) (n int, rest string, ok bool) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	v, err := strconv.ParseUint(s[:end], 10, 31)
	return int(v), s[end:], err == nil
}
