package knob

import (
	"errors"
	"slices"
	"strings"
)

// The spellings of a sysctl's name. sysctl.d(5) and sysctl(8): the separator that comes first
// separates, the other one is a part of names. So net.ipv4.conf.eth0/100.forwarding and
// net/ipv4/conf/eth0.100/forwarding are one, a setting of the device eth0.100.

// Dir is where the kernel shows its sysctls.
const Dir = "/proc/sys/"

// Key is a sysctl's name as sysctl(8) prints it, with dots, from any way of writing it:
// net.core.somaxconn, net/core/somaxconn, /net/core/somaxconn.
func Key(written string) string {
	if isPlain(written, '.', "/") {
		return written
	}
	return swap(Path(written))
}

// isPlain says whether a name has parts between separators and none that is empty or is other.
func isPlain(s string, separator byte, other string) bool {
	was := separator
	for i := range len(s) {
		if s[i] == separator && was == separator || s[i] == other[0] {
			return false
		}
		was = s[i]
	}
	return was != separator
}

// KeyAt is the name of the sysctl whose file is at a path below Dir.
func KeyAt(path string) string { return swap(simplify(path)) }

// Path is the path of a sysctl below Dir, from any way of writing its name, without needless
// separators (systemd's path_simplify). It may hold "..": see File.
func Path(written string) string {
	if i := strings.IndexAny(written, "./"); i >= 0 && written[i] == '.' {
		written = swap(written)
	}
	return simplify(written)
}

// ErrNoKey is the error of a text that is no name of a sysctl.
var ErrNoKey = errors.New("not a sysctl key")

// File is the path of a sysctl below Dir for a program that is to open it: what is no plain name,
// or would lead elsewhere, is an error.
func File(key string) (string, error) {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = swap(key)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." ||
			strings.ContainsAny(part, "\x00\n") {
			return "", ErrNoKey
		}
	}
	return path, nil
}

func simplify(path string) string {
	if isPlain(path, '/', ".") {
		return path
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

// swap exchanges dots and slashes, byte by byte: a key need not be UTF-8.
func swap(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return string(b)
}

// IsKey says whether a name is well formed and spelled as Key spells it: a file that holds names
// then has one form for each.
func IsKey(name string) bool {
	if root, _, _ := strings.Cut(name, "."); strings.Contains(root, "/") {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		slash := strings.HasPrefix(part, "/") || strings.HasSuffix(part, "/")
		if part == "" || slash || strings.Contains(part, "//") {
			return false
		}
	}
	return true
}

// IsGlob says whether the programs that read sysctl.d expand the name.
func IsGlob(key string) bool { return strings.ContainsAny(key, "*?[") }

// roots are the directories of /proc/sys.
var roots = []string{
	"abi", "crypto", "debug", "dev", "fs", "fscache", "kernel", "net", "sunrpc", "user", "vm",
}

// Cut splits a key at its first dot; ok says that it begins with a directory of /proc/sys.
func Cut(key string) (root, rest string, ok bool) {
	root, rest, _ = strings.Cut(key, ".")
	return root, rest, rest != "" && slices.Contains(roots, root)
}

// IsSysctl tells the name of a sysctl from that of another setting, such as "RLIMIT_NOFILE" or
// "backlog argument of listen()".
func IsSysctl(name string) bool {
	_, rest, ok := Cut(name)
	return ok && !strings.ContainsFunc(rest, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("_-./", r))
	})
}

// Last is what stands behind the last dot of a key.
func Last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// The names of one value. The two of nf_conntrack_max are one variable
// (net/netfilter/nf_conntrack_standalone.c nf_ct_netfilter_table); until 4.8 there was a table
// net.ipv4.netfilter with the old names (net/ipv4/netfilter/nf_conntrack_l3proto_ipv4_compat.c).
const (
	trackedMax      = "net.netfilter.nf_conntrack_max"
	trackedMaxShort = "net.nf_conntrack_max"
	oldTrackedMax   = "net.ipv4.ip_conntrack_max"
	trackPrefix     = "net.netfilter.nf_conntrack_"
	oldTrackPrefix  = "net.ipv4.netfilter.ip_conntrack_"
)

// Names are the names that today's kernels have for the value of a key, itself first.
func Names(written string) []string {
	switch key := Key(written); key {
	case trackedMax:
		return []string{trackedMax, trackedMaxShort}
	case trackedMaxShort:
		return []string{trackedMaxShort, trackedMax}
	default:
		return []string{key}
	}
}

// Main is the name under which a setting has its row and its rule, for any of its names, those of
// old kernels too.
func Main(key string) string {
	if key == trackedMaxShort || key == oldTrackedMax {
		return trackedMax
	}
	if rest, old := strings.CutPrefix(key, oldTrackPrefix); old {
		return trackPrefix + rest
	}
	return key
}

// Search finds the described settings that a word names: the whole name, with "." or "/" between
// its parts, as a path below /proc/sys, with "= value" behind it, another name of the same value,
// what other programs call it (TasksMax), or the last parts of it (tcp_fin_timeout). Several
// settings may share last parts (gc_thresh3). Sorted by name. Other settings that
// differ from a sysctl in case alone have to be spelled as they are (IP_LOCAL_PORT_RANGE).
func Search(word string) (found []*Knob) {
	whole, name := strings.ToLower(strings.TrimSpace(word)), searched(word)
	if name == "" {
		return nil
	}
	if k := Lookup(name); k != nil {
		return []*Knob{k}
	}
	for _, k := range Rows() {
		switch lower := strings.ToLower(k.Name); {
		case k.Name == strings.TrimSpace(word):
			return []*Knob{k}
		case lower == name, lower == whole, endsIn(lower, name), k.isCalled(whole):
			found = append(found, k)
		}
	}
	if slices.ContainsFunc(found, (*Knob).IsSysctl) {
		found = slices.DeleteFunc(found, func(k *Knob) bool { return !k.IsSysctl() })
	}
	slices.SortFunc(found, func(a, b *Knob) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// isCalled says whether another program has this name for it.
func (k *Knob) isCalled(lower string) bool {
	return slices.ContainsFunc(k.Also, func(name string) bool {
		return strings.ToLower(name) == lower
	})
}

// endsIn says whether a name ends in further parts, or is several words of which the first or the
// last is meant.
func endsIn(lower, word string) bool {
	words := strings.Fields(lower)
	return strings.HasSuffix(lower, "."+word) ||
		len(words) > 1 && (words[0] == word || words[len(words)-1] == word)
}

// searched is how a name is written that a user or a sysctl.d file writes.
func searched(word string) string {
	name, _, _ := strings.Cut(strings.ToLower(word), "=")
	name = strings.TrimPrefix(strings.TrimSpace(name), "-") // of sysctl.d: errors are ignored
	if rest, ok := strings.CutPrefix(name, Dir); ok {
		return KeyAt(rest)
	}
	return Key(name)
}
