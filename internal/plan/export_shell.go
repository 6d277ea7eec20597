package plan

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// scriptHead compares before it writes: a value that somebody has changed meanwhile is left alone. The kernel separates numbers by
// tabs, so white space is levelled.
const scriptHead = `set -eu
fail() { echo "maxconn: $*" >&2; exit 1; }
level() { tr -s ' \t' '  ' | sed 's/ $//'; }
sysctl_to() { # name, old value, new value
	file=/proc/sys/$(echo "$1" | tr . /)
	[ -e "$file" ] || fail "$1 is not there: load its module, or run in the initial network namespace"
	now=$(level < "$file")
	[ "$now" = "$3" ] && return 0
	[ "$now" = "$2" ] || fail "$1 is $now, the plan was made for $2"
	echo "$3" > "$file"
	now=$(level < "$file")
	[ "$now" = "$3" ] || fail "$1 is $now after writing $3"
	echo "$1 = $3"
}
limits_to() { # pid, start time, soft:hard
	[ -r "/proc/$1/stat" ] || fail "process $1 is gone"
	start=$(sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20)
	[ "$2" = 0 ] || [ "$start" = "$2" ] || fail "process $1 is another one than that of the plan"
	prlimit --pid "$1" --nofile="$3"
	echo "process $1: descriptors $3"
}
`

// shell is a script that does what sh can do, in the order of the plan.
func (x export) shell() string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n" + comments("#", x.about()...))
	b.WriteString(comments("#", "It acts until the next boot. It stops at the first value that is neither the old nor the new one."))
	b.WriteString(scriptHead)
	for _, c := range x.plan.Changes {
		if c.Target.Kind == host.ProcessKind && c.Target.Field == "hard" {
			continue // the soft limit brings it along
		}
		b.WriteString("\n" + comments("#", c.Why+"."))
		b.WriteString(command(c))
	}
	return b.String()
}

// command is the line of a change.
func command(c Change) string {
	switch c.Target.Kind {
	case host.SysctlKind:
		return "sysctl_to " + quoted(c.Target.Name) + " " + quoted(c.From) + " " + quoted(c.To) + "\n"
	case host.ProcessKind:
		return "limits_to " + quoted(c.Target.Name) + " " + quoted(strconv.FormatUint(c.Target.Start, 10)) + " " + quoted(c.Limits) + "\n"
	case host.ListenerKind:
		return "maxconn apply --yes --listener " + quoted(plainListener(c)+"="+c.To) + "\n"
	case host.LinkKind:
		return "ip link set dev " + quoted(c.Target.Name) + " txqueuelen " + quoted(c.To) + "\n"
	}
	return comments("#", c.Setting+": "+c.From+" to "+c.To)
}

// quoted is a word that the shell takes as it is.
func quoted(s string) string { return "'" + strings.ReplaceAll(oneLine(s), "'", `'\''`) + "'" }
