package knob

import (
	"slices"
	"strings"
	"testing"
)

func TestSearch(t *testing.T) {
	for word, want := range map[string]string{
		"net.core.somaxconn":           "net.core.somaxconn",
		"net/core/somaxconn":           "net.core.somaxconn",
		"/proc/sys/net/core/somaxconn": "net.core.somaxconn",
		"somaxconn":                    "net.core.somaxconn",
		"NET.CORE.SOMAXCONN":           "net.core.somaxconn",
		" net.core.somaxconn = 4096":   "net.core.somaxconn",
		"-net.core.somaxconn=1":        "net.core.somaxconn",
		"core.somaxconn":               "net.core.somaxconn",
		"ip_bind_address_no_port":      "IP_BIND_ADDRESS_NO_PORT",
		"backlog":                      "backlog argument of listen()",
		"listen()": "backlog argument of " +
			"listen()",
		"maxconn": "", "": "", ".": "", "=": "", "/": "", "net": "", "net.core": "",
		"net/ipv4/ip_conntrack_max": "net.netfilter.nf_conntrack_max",
		"tcp_sack":                  "net.ipv4.tcp_sack",
	} {
		found := Search(word)
		if want == "" && found != nil ||
			want != "" && (found == nil || found[0].Name != want) {
			t.Errorf("%q: %+v, want %q", word, found, want)
		}
		for i := 1; i < len(found); i++ {
			if found[i-1].Name > found[i].Name {
				t.Errorf("%q: not sorted", word)
			}
		}
	}
}

// The last part of a sysctl's name finds that sysctl, first of all; so do the names that other
// programs have for a setting.
func TestSearchByLastPart(t *testing.T) {
	for _, k := range Rows() {
		names := append([]string{k.Name}, k.Also...)
		if k.IsSysctl() {
			names = append(names, Last(k.Name), strings.ToUpper(k.Name))
		}
		for _, name := range names {
			if found := Search(name); !slices.Contains(found, k) ||
				found[0].IsSysctl() != k.IsSysctl() {
				t.Errorf("%q does not find %s: %+v", name, k.Name, found)
			}
		}
	}
}

func FuzzSearch(f *testing.F) {
	for _, word := range []string{
		"net/core/somaxconn", "-net.core.somaxconn=1", "/proc/sys/net", "listen()",
		"a.b/../c", "",
	} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		for _, k := range Search(word) {
			if !k.IsRow() {
				t.Errorf("%q finds %s, which is not described", word, k.Name)
			}
		}
	})
}
