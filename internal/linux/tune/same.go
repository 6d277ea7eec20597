//go:build linux

package tune

import (
	"slices"
	"strconv"
	"strings"
)

// same reports whether the kernel's spelling of a value means the one written:
// it separates numbers by tabs and joins the ports of a bitmap into ranges
// (kernel/sysctl.c proc_do_large_bitmap).
func same(want, got string) bool {
	if slices.Equal(strings.Fields(want), strings.Fields(got)) {
		return true
	}
	a, aOK := spans(want)
	b, bOK := spans(got)
	return aOK && bOK && slices.Equal(a, b)
}

// span is an inclusive range of numbers.
type span struct{ low, high uint64 }

// spans reads a list such as 8080,9000-9100 into sorted, joined ranges. One plain
// number is not a list, so that 010 (octal 8, as the kernel reads it) differs from 10.
func spans(list string) ([]span, bool) {
	list = strings.TrimSpace(list)
	if !strings.ContainsAny(list, ",-") {
		return nil, false
	}
	var out []span
	for item := range strings.SplitSeq(list, ",") {
		s, ok := parseSpan(strings.TrimSpace(item))
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return join(out), true
}

func parseSpan(item string) (span, bool) {
	lowText, highText, isRange := strings.Cut(item, "-")
	if !isRange {
		highText = lowText
	}
	low, err1 := strconv.ParseUint(lowText, 10, 32)
	high, err2 := strconv.ParseUint(highText, 10, 32)
	return span{low, high}, err1 == nil && err2 == nil && low <= high
}

func join(list []span) []span {
	slices.SortFunc(list, func(a, b span) int { return int(a.low) - int(b.low) })
	out := list[:0]
	for _, s := range list {
		if last := len(out) - 1; last >= 0 && s.low <= out[last].high+1 {
			out[last].high = max(out[last].high, s.high)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Same reports whether two spellings of a setting mean the same to the kernel: white space
// of any kind separates numbers, and 8080,8081 is 8080-8081.
func Same(a, b string) bool { return same(a, b) }
