package lint

import (
	"math"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// kind is what a setting takes.
type kind uint8

const (
	plainText kind = iota // anything; not looked at
	ints                  // numbers
	seconds               // numbers that the kernel multiplies by HZ (proc_dointvec_jiffies)
	portList              // 8080,9000-9010
	portRange             // two ports
	oneWord               // a name
)

// bound is what a number may be from a release on.
type bound struct {
	since    host.Version
	low, top int64
}

// shape is what the kernel takes for a setting.
type shape struct {
	kind   kind
	n      int // how many numbers
	bounds []bound
}

var (
	anyInt   = []bound{{low: math.MinInt32, top: math.MaxInt32}}
	notBelow = func(low int64) []bound { return []bound{{low: low, top: math.MaxInt32}} }
	between  = func(low, top int64) []bound { return []bound{{low: low, top: top}} }
	// oneByte: proc_dou8vec_minmax since 5.13 (net/ipv4/sysctl_net_ipv4.c; proc_dointvec in 5.10, u8 in 5.14), an int before.
	oneByte  = []bound{{low: math.MinInt32, top: math.MaxInt32}, {since: host.V(5, 13), low: 0, top: 255}}
	unsigned = []bound{{low: 0, top: math.MaxInt64}}
)

func single(b []bound) shape          { return shape{ints, 1, b} }
func vectorOf(n int, b []bound) shape { return shape{ints, n, b} }
func inSeconds() shape                { return shape{seconds, 1, anyInt} }

// at is the bound on this kernel; an unknown kernel has the latest.
func (s shape) at(r host.Release) bound {
	var b bound
	for _, x := range s.bounds {
		if !r.Known() || r.Compare(x.since) >= 0 {
			b = x
		}
	}
	return b
}

// jiffies are seconds that no kernel takes, and those that depend on how it was built: the value times HZ (100 to 1000) has to fit an
// int (kernel/sysctl.c do_proc_dointvec_jiffies_conv; measured: 8589934 is the largest with HZ=250).
const jiffies = math.MaxInt32 / 100

// refused says why the kernel does not take the value, "" where it does.
func (s shape) refused(value string, r host.Release) string {
	switch s.kind {
	case plainText:
		return ""
	case portList:
		return refusedPorts(value)
	case oneWord:
		return refusedWord(value)
	}
	v := numbers(value, s.n)
	if v.wrong != "" {
		return v.wrong
	}
	b := s.at(r)
	for _, n := range v.n {
		switch {
		case v.big && b.top == math.MaxInt64:
			return "it is more than the largest number there is, " + count(math.MaxInt64)
		case n < b.low || n > b.top:
			return "allowed is " + count(b.low) + " to " + count(b.top)
		case s.kind == seconds && (n > jiffies || n < -jiffies):
			return "so many seconds do not fit (the kernel counts them in timer ticks)"
		}
	}
	return ""
}

// refusedWord: proc_dostring takes the whole line; a comment behind the name makes it another name (measured: ENOENT).
func refusedWord(value string) string {
	switch {
	case value == "":
		return "there is no value"
	case strings.ContainsAny(value, "\"'"):
		return "quotes are part of the value here, and there is nothing of that name"
	case strings.ContainsAny(value, blank):
		return "the kernel takes one name, and what follows it (a comment has to stand on a line of its own) becomes part of it"
	}
	return ""
}

func refusedPorts(value string) string {
	if value == "" {
		return ""
	}
	if _, err := host.ParsePorts(value); err == nil && !strings.ContainsAny(value, blank) {
		return ""
	}
	return "the kernel wants ports and ranges with commas and without blanks: 8080,9000-9010"
}
