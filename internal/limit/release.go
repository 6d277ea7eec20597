package limit

import (
	"strconv"
	"strings"
)

// kernelSince says whether the release ("6.1.0-13-amd64") is known and not older.
func kernelSince(release string, major, minor int64) bool {
	a, b, ok := majorMinor(release)
	return ok && (a > major || (a == major && b >= minor))
}

// kernelBefore says whether the release is known and older.
func kernelBefore(release string, major, minor int64) bool {
	_, _, ok := majorMinor(release)
	return ok && !kernelSince(release, major, minor)
}

func majorMinor(release string) (major, minor int64, ok bool) {
	first, rest, _ := strings.Cut(release, ".")
	second, _ := leadingDigits(rest)
	major, err1 := strconv.ParseInt(first, 10, 32)
	minor, err2 := strconv.ParseInt(second, 10, 32)
	return major, minor, err1 == nil && err2 == nil
}

func leadingDigits(s string) (digits, rest string) {
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// answer is what a release tells of a change: not all tell.
type answer uint8

const (
	no answer = iota
	yes
	untold
)

// backport is a stable series and its first release with a change.
type backport struct{ major, minor, patch int64 }

// hasChange says whether a kernel has a change that came with a release and was taken back into stable series. Only a third number above
// 0 that upstream gave tells: Debian up to 12, Ubuntu and Red Hat count in their own way there ("6.1.0-18-amd64", "5.15.0-130-generic",
// "5.14.0-427.el9.x86_64").
func hasChange(release string, major, minor int64, stable []backport) answer {
	a, b, ok := majorMinor(release)
	switch {
	case !ok:
		return untold
	case kernelSince(release, major, minor):
		return yes
	}
	third, rest := thirdNumber(release)
	if strings.Contains(rest, ".el") || third == 0 && rest != "" {
		return untold
	}
	for _, s := range stable {
		if s.major == a && s.minor == b && third >= s.patch {
			return yes
		}
	}
	return no
}

// thirdNumber is the 107 of "6.12.107+deb13-amd64" and what stands behind it; 0 where there is none.
func thirdNumber(release string) (n int64, rest string) {
	_, rest, _ = strings.Cut(release, ".")
	_, rest = leadingDigits(rest)
	after, isNumber := strings.CutPrefix(rest, ".")
	if !isNumber {
		return 0, rest
	}
	digits, rest := leadingDigits(after)
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0, rest
	}
	return n, rest
}
