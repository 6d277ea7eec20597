package lint

import (
	"strconv"
	"strings"
)

// release is a kernel's version. The zero value is not known; then the present is assumed.
type release struct{ major, minor int }

// latest is the newest kernel whose sources were read.
var latest = release{6, 18}

// oldest is the oldest one.
var oldest = release{4, 4}

// parseRelease reads "6.1", "6.1.0-13-amd64", "4.18.0-553.el8".
func parseRelease(text string) (release, bool) {
	first, rest, _ := strings.Cut(strings.TrimSpace(text), ".")
	second := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		second = rest[:i]
	}
	a, err1 := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(second, 10, 16)
	if err1 != nil || err2 != nil || a == 0 {
		return release{}, false
	}
	return release{int(a), int(b)}, true
}

// ValidKernel says whether a text names a kernel release, such as "4.9".
func ValidKernel(text string) bool {
	_, ok := parseRelease(text)
	return ok
}

func (r release) known() bool { return r != release{} }

func (r release) before(s release) bool {
	return r.major < s.major || (r.major == s.major && r.minor < s.minor)
}

func (r release) String() string { return strconv.Itoa(r.major) + "." + strconv.Itoa(r.minor) }

// backports says whether a release is Red Hat's, which takes changes of newer kernels back into old ones: then a version
// tells less.
func backports(text string) bool { return strings.Contains(text, ".el") }

// span is when something is so: from an exact release on, or after one release and at the latest in another.
type span struct{ after, by release }

// parseSpan reads "4.12" or "4.10..4.12".
func parseSpan(text string) span {
	a, b, isRange := strings.Cut(text, "..")
	if !isRange {
		b = a
	}
	by, _ := parseRelease(b)
	after := release{}
	if isRange {
		after, _ = parseRelease(a)
	}
	return span{after, by}
}

func (s span) none() bool { return s == span{} }

// reached says whether r is late enough; sure is false between the two ends.
func (s span) reached(r release) (yes, sure bool) {
	switch {
	case !r.before(s.by):
		return true, true
	case s.after.known() && s.after.before(r):
		return false, false
	}
	return false, true
}

// String is "Linux 4.12", or "Linux 4.12 at the latest".
func (s span) String() string {
	if s.after.known() {
		return "Linux " + s.by.String() + " at the latest (not yet in " + s.after.String() + ")"
	}
	return "Linux " + s.by.String()
}
