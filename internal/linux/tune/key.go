//go:build linux

package tune

import (
	"errors"
	"strings"
)

var errBadKey = errors.New("not a sysctl key")

// keyFile turns a key into a path under /proc/sys. As in sysctl(8), the first
// separator decides: in net.ipv4.conf.eth0/100.rp_filter dots separate and the
// slash stands for a dot in a device's name; in net/ipv4/conf/eth0.100/rp_filter
// slashes separate.
func keyFile(key string) (string, error) {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\n") {
			return "", errBadKey
		}
	}
	return path, nil
}
