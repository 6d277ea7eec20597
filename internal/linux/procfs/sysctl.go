package procfs

import (
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/knob"
)

// ParseSysctl returns the value in a file under /proc/sys: its text without
// space at the ends, and with one space wherever there was space of any kind
// between two values. The empty text is a value (ip_local_reserved_ports).
func ParseSysctl(b []byte) (string, error) {
	text := string(b)
	if i := strings.IndexByte(text, 0); i >= 0 {
		return "", &ParseError{Kind: "sysctl", Msg: fmt.Sprintf("byte %d is 0", i)}
	}
	return strings.Join(strings.Fields(text), " "), nil
}

// Sysctl reads the value of a key such as net.ipv4.tcp_rmem, in the network
// namespace of the calling thread; see [ParseSysctl] for its form. A dot that
// is part of an interface's name is written as a slash, as sysctl(8) does:
// net.ipv4.conf.eth0/100.rp_filter.
//
// What could not be read is an error that keeps the errno: a key that this
// kernel or this namespace lacks is fs.ErrNotExist, one that this user may not
// read is fs.ErrPermission.
func (r Root) Sysctl(key string) (string, error) {
	name, err := knob.File(key)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", clip(key), err)
	}
	b, err := r.Read("sys/" + name)
	if err != nil {
		return "", err
	}
	text, err := ParseSysctl(b)
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", key, err)
	}
	return text, nil
}
