package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// canonical is a sysctl's name as sysctl(8) prints it, from either way of writing it.
func canonical(written string) string { return knob.Key(written) }

// belowProc is the sysctl that a path under /proc/sys names.
func belowProc(path string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(path, knob.Dir)
	if !ok || rest == "" {
		return "", false
	}
	return knob.KeyAt(rest), true
}

// looksLikeKey says whether a word has the form of a sysctl's name in one of the
// directories that there are.
func looksLikeKey(word string) bool {
	key := canonical(strings.TrimPrefix(word, "-"))
	_, rest, ok := knob.Cut(key)
	return ok && strings.IndexFunc(rest, func(r rune) bool { return !isKeyRune(r) }) < 0
}

// isKeyRune allows what stands in names of sysctls and devices, and the marks of a glob and
// a shell's variable.
func isKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("._-/*?[]@:${}", r)
}

func oneOf(s string, all []string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// isGlob says whether systemd-sysctl expands the name.
func isGlob(key string) bool { return knob.IsGlob(key) }

// identity is the name under which two lines are compared: some values have a second name.
func identity(key string) string { return knob.Main(key) }

// lastPart is what stands behind the last dot.
func lastPart(key string) string { return knob.Last(key) }
