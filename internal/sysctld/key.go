package sysctld

import "strings"

// Key is a sysctl's name as sysctl(8) prints it, from either way of writing it: net.core.somaxconn,
// net/core/somaxconn and /net/core/somaxconn are one. The first separator decides (sysctl.d(5)); a dot inside a part,
// as in a device's name, is a slash in the result: net.ipv4.conf.eth0/100.forwarding.
func Key(written string) string { return swap(below(written)) }

// below is the name below /proc/sys, without needless separators (systemd's path_simplify).
func below(written string) string {
	if i := strings.IndexAny(written, "./"); i >= 0 && written[i] == '.' {
		written = swap(written)
	}
	return simplify(written)
}

func simplify(path string) string {
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

// Names are all names of the value that a key names, itself first. The two of conntrack are one variable
// (net/netfilter/nf_conntrack_standalone.c nf_ct_netfilter_table).
func Names(key string) []string {
	const long, short = "net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"
	switch key = Key(key); key {
	case long:
		return []string{long, short}
	case short:
		return []string{short, long}
	}
	return []string{key}
}

// IsGlob says whether the programs expand the name.
func IsGlob(key string) bool { return strings.ContainsAny(key, "*?[") }
