package lint

import (
	"math"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// jiffies are seconds that no kernel takes, and those that depend on how it was built: the value
// times HZ (100 to 1000) has to fit an int (kernel/sysctl.c do_proc_dointvec_jiffies_conv;
// measured: 8589934 is the largest with HZ=250).
const jiffies = math.MaxInt32 / 100

// refused says why the kernel does not take the value, "" where it does.
func refused(t knob.Takes, value string, r host.Release) string {
	switch t.Kind {
	case knob.Text, knob.Shown:
		return ""
	case knob.PortList:
		return refusedPorts(value)
	case knob.Word:
		return refusedWord(value)
	}
	v := numbers(value, t.N)
	if v.wrong != "" {
		return v.wrong
	}
	b := t.At(r)
	for _, n := range v.n {
		switch {
		case v.big && b.Top == math.MaxInt64:
			return "it is more than the largest number there is, " +
				count(math.MaxInt64)
		case n < b.Low || n > b.Top:
			return "allowed is " + count(b.Low) + " to " + count(b.Top)
		case t.Kind == knob.Seconds && (n > jiffies || n < -jiffies):
			return "that many seconds do not fit (the kernel counts them in " +
				"timer ticks)"
		}
	}
	return ""
}

// refusedWord: proc_dostring takes the whole line; a comment behind the name makes it another
// name (measured: ENOENT).
func refusedWord(value string) string {
	switch {
	case value == "":
		return "there is no value"
	case strings.ContainsAny(value, "\"'"):
		return "quotes are part of the value here, and there is nothing of that name"
	case strings.ContainsAny(value, blank):
		return "the kernel takes one name, and what follows it (a comment has to stand " +
			"on a line of " +
			"its own) becomes part of it"
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
