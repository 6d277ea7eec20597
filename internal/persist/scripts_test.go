package persist

import "testing"

// A setting of a device with a dot in its name is spelled in three ways.
func TestScriptMentions(t *testing.T) {
	s := script{lines: []string{
		"sysctl -w net.core.somaxconn_x=1",
		"echo 1 > /proc/sys/net/ipv4/conf/eth0.100/rp_filter",
		"sysctl -w net.ipv4.conf.eth0/200.rp_filter=1", "sysctl -w net.core.somaxconn=1",
	}}
	for key, want := range map[string]int{
		"net.ipv4.conf.eth0/100.rp_filter": 2, "net.ipv4.conf.eth0/200.rp_filter": 3,
		"net.core.somaxconn": 4, "net.core.somaxcon": 0,
	} {
		if have := s.mentions(key); have != want {
			t.Errorf("%s: line %d, want %d", key, have, want)
		}
	}
}
