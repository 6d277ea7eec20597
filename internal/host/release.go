package host

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Version is a release of Linux by its numbers: 6.13, 6.12.9. The zero value is no version.
type Version struct{ Major, Minor, Patch int }

// V is a release by its first two numbers.
func V(major, minor int) Version { return Version{Major: major, Minor: minor} }

// At is a stable release of the series: V(6, 12).At(9) is 6.12.9.
func (v Version) At(patch int) Version { return Version{v.Major, v.Minor, patch} }

// ParseVersion reads "4.19" or "6.12.9", and nothing that goes on behind the numbers.
func ParseVersion(text string) (Version, error) {
	r, err := ParseRelease(text)
	if err == nil && r.tail != "" {
		err = errNoRelease
	}
	if err != nil {
		return Version{}, err
	}
	return r.Version, nil
}

// Release is the version as the release of a kernel of upstream.
func (v Version) Release() Release { return Release{Version: v, text: v.String()} }

// IsZero says that it is no version.
func (v Version) IsZero() bool { return v == Version{} }

// Compare is negative where v is older than w.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor),
		cmp.Compare(v.Patch, w.Patch))
}

// Series is the version without its third number: that of a stable series.
func (v Version) Series() Version { return V(v.Major, v.Minor) }

// String is "4.19", or "6.12.9" where there is a third number.
func (v Version) String() string {
	s := strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor)
	if v.Patch > 0 {
		s += "." + strconv.Itoa(v.Patch)
	}
	return s
}

// Release is the release of a kernel, as uname -r and /proc/sys/kernel/osrelease print it. This is
// the only parser of them. The zero value is a release that is not known: it is neither since nor
// before any version.
//
// The numbers tell what a kernel of upstream has. A distribution's kernel carries changes of later
// ones, and many keep the third number at 0: see Has.
type Release struct {
	Version
	tail string // what follows the numbers: "-28-cloud-amd64", "-503.el9.x86_64", "+"
	text string
	// whose os-release the system has; see On
	system Distribution
}

var errNoRelease = errors.New("a kernel release begins with two numbers and a dot, as 6.1")

// ParseRelease reads two or three numbers and whatever follows them (the kernel's EXTRAVERSION and
// LOCALVERSION may be any text).
func ParseRelease(text string) (Release, error) {
	text = strings.TrimSpace(text)
	major, rest, ok1 := cutNumber(text)
	rest, dot := strings.CutPrefix(rest, ".")
	minor, rest, ok2 := cutNumber(rest)
	if !ok1 || !dot || !ok2 || major == 0 {
		return Release{}, errNoRelease
	}
	r := Release{Version: V(major, minor), tail: rest, text: text}
	if after, dot := strings.CutPrefix(rest, "."); dot {
		if patch, rest, ok := cutNumber(after); ok {
			r.Patch, r.tail = patch, rest
		}
	}
	return r, nil
}

// cutNumber takes a number from the front; the kernel's own (KERNEL_VERSION) have 16 bits at most.
func cutNumber(s string) (n int, rest string, ok bool) {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	v, err := strconv.ParseUint(s[:end], 10, 16)
	return int(v), s[end:], err == nil
}

// Known says whether it is a release at all.
func (r Release) Known() bool { return !r.IsZero() }

// Since says that the release is known, and this version or a later one. A release candidate counts
// as the release: what comes with a version comes with its first candidate.
func (r Release) Since(major, minor int) bool {
	return r.Known() && r.Compare(V(major, minor)) >= 0
}

// Before says that the release is known and older.
func (r Release) Before(major, minor int) bool { return r.Known() && !r.Since(major, minor) }

// String is the release as it was written.
func (r Release) String() string { return r.text }

// Order sorts releases: by version, candidates first, then by the numbers in what follows
// (5.10.0-9 is before 5.10.0-32), then by text. What is not known comes first.
func (r Release) Order(s Release) int {
	return cmp.Or(
		r.Compare(s.Version), cmp.Compare(r.final(), s.final()), orderTails(r.tail, s.tail),
		cmp.Compare(r.text, s.text))
}

// final is 0 for a release candidate.
func (r Release) final() int {
	if strings.HasPrefix(r.tail, "-rc") {
		return 0
	}
	return 1
}

// orderTails compares number by number where both texts have one, else byte by byte.
func orderTails(a, b string) int {
	for a != "" && b != "" {
		m, restA, okA := cutNumber(a)
		n, restB, okB := cutNumber(b)
		if !okA || !okB {
			m, n, restA, restB = int(a[0]), int(b[0]), a[1:], b[1:]
		}
		if m != n {
			return cmp.Compare(m, n)
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// Change is something that came with a release of Linux and was rolled back into older series.
type Change struct {
	Since  Version
	Stable []Version // the first release of each stable series that has it
	// In are distributions whose older kernels have it, as their sources show.
	In []Distribution
}

// Came is a change that came with a release and went into no older kernel that is known.
func Came(major, minor int) Change { return Change{Since: V(major, minor)} }

// String is the release that it came with.
func (c Change) String() string { return c.Since.String() }

// Before is the kernels without the change, in words: "before Linux 6.13, and before
// 6.12.10, 6.6.72 of the stable kernels".
func (c Change) Before() string {
	out := "before Linux " + c.Since.String()
	if len(c.Stable) == 0 {
		return out
	}
	var stable []string
	for _, v := range slices.SortedFunc(slices.Values(c.Stable), Version.Compare) {
		stable = append([]string{v.String()}, stable...)
	}
	return out + ", and before " + strings.Join(stable, ", ") + " of the stable kernels"
}

// Answer is what a release tells of a change: not all tell.
type Answer uint8

const (
	No Answer = iota
	Yes
	Untold
)

// Has says whether a kernel has a change. Below the version that it came with, the sources of a
// distribution tell, or a third number that upstream gave: Debian up to 12 and Ubuntu keep it at 0
// ("6.1.0-18-amd64", "5.15.0-130-generic"), Red Hat counts in its own way ("5.14.21-427.el9"), and
// so does SUSE.
func (r Release) Has(c Change) Answer {
	switch {
	case !r.Known():
		return Untold
	case r.Compare(c.Since) >= 0:
		return Yes
	case slices.Contains(c.In, r.Distribution()):
		return Yes
	case r.Backports() != "":
		return Untold
	case r.shipped() != nil && r.shipped().frozen && len(c.Stable) > 0:
		return Untold
	}
	for _, s := range c.Stable {
		if r.Major == s.Major && r.Minor == s.Minor && r.Patch >= s.Patch {
			return Yes
		}
	}
	return No
}

// Kernel is the release of the host's kernel; the zero value where it was not read or is none.
func (r *Reader) Kernel() Release {
	release, err := ParseRelease(r.Optional(System("kernel")))
	if err != nil {
		return Release{}
	}
	// Words and doubts alone depend on it: not a fact that a formula goes without.
	os, _ := r.snapshot.Lookup(System("os"))
	return release.On(os.Text)
}
