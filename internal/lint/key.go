package lint

import (
	"strings"

	"github.com/maxconn/maxconn/internal/sysctld"
)

// roots are the directories of /proc/sys.
var roots = []string{"abi", "crypto", "debug", "dev", "fs", "fscache", "kernel", "net", "sunrpc", "user", "vm"}

// canonical is a sysctl's name as sysctl(8) prints it, from either way of writing it (see sysctld.Key).
func canonical(written string) string { return sysctld.Key(written) }

func swapSeparators(r rune) rune {
	switch r {
	case '/':
		return '.'
	case '.':
		return '/'
	}
	return r
}

// belowProc is the sysctl that a path under /proc/sys names.
func belowProc(path string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/proc/sys/")
	if !ok || rest == "" {
		return "", false
	}
	return strings.Trim(strings.Map(swapSeparators, rest), "."), true
}

// looksLikeKey says whether a word has the form of a sysctl's name in one of the directories that there are.
func looksLikeKey(word string) bool {
	key := canonical(strings.TrimPrefix(word, "-"))
	root, rest, ok := strings.Cut(key, ".")
	if !ok || rest == "" || !oneOf(root, roots) {
		return false
	}
	return strings.IndexFunc(rest, func(r rune) bool { return !isKeyRune(r) }) < 0
}

// isKeyRune allows what stands in names of sysctls and devices, and the marks of a glob and a shell's variable.
func isKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/*?[]@:${}", r)
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
func isGlob(key string) bool { return sysctld.IsGlob(key) }

// identity is the name under which two lines are compared: some values have a second name.
func identity(key string) string {
	if key == "net.nf_conntrack_max" || key == "net.ipv4.ip_conntrack_max" {
		return "net.netfilter.nf_conntrack_max"
	}
	if rest, ok := strings.CutPrefix(key, "net.ipv4.netfilter.ip_conntrack_"); ok { // until 4.8
		return "net.netfilter.nf_conntrack_" + rest
	}
	return key
}

// lastPart is what stands behind the last dot.
func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
