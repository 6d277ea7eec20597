package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// latest is the newest kernel whose sources were read.
var latest = host.V(6, 18)

// oldest is the oldest one.
var oldest = host.V(4, 4)

// ValidKernel says whether a text names a kernel release, such as "4.9".
func ValidKernel(text string) bool {
	_, err := host.ParseRelease(text)
	return err == nil
}

// span is when something is so: from an exact release on, or after one release and at the latest in another.
type span struct{ after, by host.Version }

// parseSpan reads "4.12" or "4.10..4.12".
func parseSpan(text string) span {
	a, b, isRange := strings.Cut(text, "..")
	if !isRange {
		b = a
	}
	by, _ := host.ParseVersion(b)
	after := host.Version{}
	if isRange {
		after, _ = host.ParseVersion(a)
	}
	return span{after, by}
}

func (s span) none() bool { return s == span{} }

// reached says whether v is late enough; sure is false between the two ends.
func (s span) reached(v host.Version) (yes, sure bool) {
	switch {
	case v.Compare(s.by) >= 0:
		return true, true
	case !s.after.IsZero() && s.after.Compare(v) < 0:
		return false, false
	}
	return false, true
}

// String is "Linux 4.12", or "Linux 4.12 at the latest".
func (s span) String() string {
	if !s.after.IsZero() {
		return "Linux " + s.by.String() + " at the latest (not yet in " + s.after.String() + ")"
	}
	return "Linux " + s.by.String()
}
