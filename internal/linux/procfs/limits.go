package procfs

import (
	"slices"
	"strconv"
	"strings"
)

// Bound is the value of a resource limit. Unlimited is a value of its own and
// no number.
type Bound struct {
	N         uint64 // 0 when unlimited
	Unlimited bool
}

// String returns the kernel's text: a number or "unlimited".
func (b Bound) String() string {
	if b.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(b.N, 10)
}

// ResourceLimit is one row of /proc/PID/limits.
type ResourceLimit struct {
	Name string // such as "Max open files"
	Soft Bound
	Hard Bound
	Unit string // such as "files"; empty for priorities
}

// ResourceLimits are the rows of /proc/PID/limits.
type ResourceLimits []ResourceLimit

// Named returns the limit of a name, or false where this kernel has none.
func (r ResourceLimits) Named(name string) (ResourceLimit, bool) {
	i := slices.IndexFunc(r, func(l ResourceLimit) bool { return l.Name == name })
	if i < 0 {
		return ResourceLimit{}, false
	}
	return r[i], true
}

// limitColumns are where the columns of /proc/PID/limits begin. Names hold
// spaces, so only the place tells a name from a value.
type limitColumns struct{ soft, hard, unit int }

// ParseLimits reads /proc/PID/limits (fs/proc/base.c proc_pid_limits).
func ParseLimits(b []byte) (ResourceLimits, error) {
	l, err := wholeLines("limits", b)
	if err != nil {
		return nil, err
	}
	head, _ := l.next()
	at := limitColumns{
		soft: strings.Index(head, "Soft Limit"),
		hard: strings.Index(head, "Hard Limit"),
		unit: strings.Index(head, "Units"),
	}
	if !strings.HasPrefix(head, "Limit ") || at.soft <= 0 || at.hard <= at.soft ||
		at.unit <= at.hard {
		return nil, l.errorf("%s is not the header", clip(head))
	}
	var limits ResourceLimits
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		limit, err := l.limit(line, at)
		if err != nil {
			return nil, err
		}
		limits = append(limits, limit)
	}
	if len(limits) == 0 {
		return nil, l.wholef("no limit follows the header")
	}
	return limits, nil
}

func (l *lines) limit(line string, at limitColumns) (ResourceLimit, error) {
	name := strings.TrimSpace(between(line, 0, at.soft))
	if !isName(name) {
		return ResourceLimit{}, l.errorf("%s does not begin with a name", clip(line))
	}
	soft, err := l.bound(name+", soft", between(line, at.soft, at.hard))
	if err != nil {
		return ResourceLimit{}, err
	}
	hard, err := l.bound(name+", hard", between(line, at.hard, at.unit))
	if err != nil {
		return ResourceLimit{}, err
	}
	unit := strings.TrimSpace(between(line, at.unit, len(line)))
	return ResourceLimit{Name: name, Soft: soft, Hard: hard, Unit: unit}, nil
}

func (l *lines) bound(what, text string) (Bound, error) {
	text = strings.TrimSpace(text)
	if text == "unlimited" {
		return Bound{Unlimited: true}, nil
	}
	n, err := l.number(clip(what), text)
	return Bound{N: n}, err
}

// between is line[from:to], as much of it as there is.
func between(line string, from, to int) string {
	return line[min(from, len(line)):min(to, len(line))]
}
