package limit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Log lines and errors as kernels, C libraries, runtimes and servers write them.
func TestFindSigns(t *testing.T) {
	for _, c := range []struct {
		text   string
		limit  string // of the best match
		quotes string
	}{
		{"Cannot assign requested address", "ephemeral-ports", ""},
		{"dial tcp 10.0.0.9:5432: connect: cannot assign requested address",
			"ephemeral-ports", ""},
		{"OSError: [Errno 99] Address not available", "ephemeral-ports", ""},
		{"connect() to 10.0.0.9:80 failed (99: Cannot assign requested address) while " +
			"connecting to upstream", "ephemeral-ports", ""},
		{"Error: connect EADDRNOTAVAIL 10.0.0.9:5432", "ephemeral-ports", ""},
		{"eaddrnotavail", "ephemeral-ports", ""},
		{"Too many open files", "process-files", ""},
		{"accept4() failed (24: Too many open files)", "process-files", ""},
		{"http: Accept error: accept tcp [::]:8080: accept4: too many open files; " +
			"retrying in 5ms", "process-files", ""},
		{"No file descriptors available", "process-files", ""},
		{"EMFILE", "process-files", ""},
		{"Too many open files in system", "system-files", ""},
		{"VFS: file-max limit 2466170 reached", "system-files", "2466170"},
		{"possible SYN flooding on port 443", "syn-queue", "443"},
		{"[12345.678901] TCP: request_sock_TCP: Possible SYN flooding on port 443. " +
			"Sending cookies.  Check SNMP counters.", "syn-queue", "443"},
		{"kernel: TCP: request_sock_TCPv6: Possible SYN flooding on port [::]:443. " +
			"Dropping request.", "syn-queue", "[::]:443"},
		{"SYN flooding", "syn-queue", ""},
		{"nf_conntrack: table full, dropping packet", "conntrack", ""},
		{"nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack", ""},
		{"ip_conntrack: table full, dropping packet.", "conntrack", ""},
		{"TCP: too many orphaned sockets", "orphans", ""},
		{"time wait bucket table overflow", "time-wait-buckets", ""},
		{"TCP: time wait bucket table overflow (CT 1234)", "time-wait-buckets", ""},
		{"neighbour: arp_cache: neighbor table overflow!", "neighbour-table", ""},
		{"neighbor table overflow", "neighbour-table", ""},
		{"TCP: out of memory -- consider tuning tcp_mem", "tcp-memory", ""},
		{"epoll_ctl: No space left on device", "epoll-watches", ""},
		{"ENOSPC", "epoll-watches", ""},
	} {
		if Find(ID(c.limit)) == nil {
			continue // the catalogue may be built without it
		}
		found := FindSigns(c.text)
		switch {
		case len(found) == 0 || found[0].Limit.ID != ID(c.limit):
			t.Errorf("%q: %s, want %s", c.text, describeMatches(found), c.limit)
		case c.quotes != "" && !slices.Contains(found[0].Quotes, c.quotes):
			t.Errorf("%q: quotes %q, want %q", c.text, found[0].Quotes, c.quotes)
		}
	}
}

func describeMatches(found []SignMatch) string {
	var words []string
	for _, m := range found {
		words = append(words, fmt.Sprintf("%s %q %d", m.Limit.ID, m.Sign.Text, m.score))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func TestFindSignsKnowsNothing(t *testing.T) {
	for _, text := range []string{"", "   ", "443", "the coffee machine is empty", "…", "… …",
		"port", "12 34 56", "[::]:443"} {
		if found := FindSigns(text); len(found) > 0 {
			t.Errorf("%q: %s", text, describeMatches(found))
		}
	}
}

// The longer message wins where a shorter one stands inside it.
func TestTheLongerErrnoWins(t *testing.T) {
	for _, m := range FindSigns("Too many open files in system") {
		if m.Sign.Errno == "EMFILE" {
			t.Errorf("EMFILE by %q", m.Sign.Text)
		}
	}
}

// The call that a text names decides between signs of one errno.
func TestTheCallDecides(t *testing.T) {
	for text, call := range map[string]string{
		"listen tcp :80: bind: address already in use":                   "bind",
		"dial tcp 10.0.0.9:80: connect: cannot assign requested address": "connect",
	} {
		if found := FindSigns(text); len(found) == 0 || found[0].Sign.Call != call {
			t.Errorf("%q: %s", text, describeMatches(found))
		}
	}
}

func TestMatchWhole(t *testing.T) {
	for _, c := range []struct {
		sign, text string
		quotes     string
		ok         bool
	}{
		{"table full", "the table 17 full", "", true}, // numbers do not count
		{"table full", "table is full", "", false},
		{"limit … reached", "limit 5 of 7 reached", "5 of 7", true},
		{"limit … reached", "reached the limit", "", false},
		{"on port …", `on port "0.0.0.0:80". Sending`, "0.0.0.0:80", true},
		{"… overflow", "arp_cache: overflow", "", true},
		{"a … b … c", "a 1 b 2 c", "1|2", true},
		{"…", "anything", "", false},
		{"neighbor", "Neighbour", "", true},
	} {
		_, quotes, ok := matchWhole(words(c.text), c.text, words(c.sign))
		if ok != c.ok || c.quotes != "" && strings.Join(quotes, "|") != c.quotes {
			t.Errorf("%q in %q: %v %q", c.sign, c.text, ok, quotes)
		}
	}
}

func TestSuggest(t *testing.T) {
	for word, want := range map[string]string{
		"ephemral-ports": "ephemeral-ports", "time-weit": "time-wait",
		"somaxcon": "net.core.somaxconn", "EADDRNOTAVAL": "EADDRNOTAVAIL",
		"net.ipv4.ip_local_port_rang": "net.ipv4.ip_local_port_range",
	} {
		if have := Suggest(word); !slices.Contains(have, want) || len(have) > 3 {
			t.Errorf("%q: %q, want %q", word, have, want)
		}
	}
	for _, word := range []string{"", "zzzzzzzzzz", strings.Repeat("ephemeral-ports", 10)} {
		if have := Suggest(word); len(have) > 0 {
			t.Errorf("%q: %q", word, have)
		}
	}
	if have := SuggestLimit("acept-queue"); len(have) == 0 || have[0] != "accept-queue" {
		t.Errorf("%q", have)
	}
}

func FuzzFindSigns(f *testing.F) {
	for _, text := range []string{
		"TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  " +
			"Check SNMP counters.", "OSError: [Errno 24] Too many open files",
		"nf_conntrack: table full, dropping packet", "… \xff é", "port…", "errno 99",
		"dial tcp: i/o " +
			"timeout", "read: connection reset by peer",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := FindSigns(text)
		for i, m := range found {
			if m.Limit == nil || i > 0 && found[i-1].score < m.score {
				t.Errorf("%q: %s", text, describeMatches(found))
			}
			for _, q := range m.Quotes {
				if !strings.Contains(text, q) {
					t.Errorf("%q: quotes %q", text, q)
				}
			}
		}
		for _, c := range FindOtherCauses(text) {
			if c.Errno == "" && len(c.Texts) == 0 || c.Means == "" {
				t.Errorf("%q: %+v", text, c)
			}
		}
		Suggest(text)
	})
}
