package export

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// scriptHead compares before it writes: a value that somebody has changed meanwhile is left alone.
// The kernel separates numbers by tabs, so white space is levelled. echo may act on backslashes,
// printf does not.
const scriptHead encode.Shell = `set -eu
fail() { printf 'maxconn: %s\n' "$*" >&2; exit 1; }
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
	var b encode.Builder[encode.Shell]
	b.Write("#!/bin/sh\n", shellComments(x.about...))
	b.Write(
		shellComments(
			"It acts until the next boot. It stops at the first value that is neither "+
				"the old nor the new one."),
		scriptHead,
	)
	for _, c := range x.plan.Changes {
		if c.Target.Kind == host.ProcessKind && c.Target.Field == "hard" {
			continue // the soft limit brings it along
		}
		b.Write("\n", shellComments(c.Why+"."), command(c), "\n")
	}
	b.Write(shellComments(x.refused...))
	return b.String()
}

func shellComments(texts ...string) encode.Shell {
	return encode.Comment[encode.Shell]("#", texts...)
}

// command is the line of a change.
func command(c plan.Change) encode.Shell {
	word := encode.ShellWord
	switch c.Target.Kind {
	case host.SysctlKind:
		return "sysctl_to " + word(c.Target.Name) + " " + word(c.From) + " " + word(c.To)
	case host.ProcessKind:
		start := strconv.FormatUint(c.Target.Start, 10)
		return "limits_to " + word(c.Target.Name) + " " + word(start) + " " + word(c.Limits)
	case host.ListenerKind:
		return "maxconn apply --yes --listener " + word(listener(c)+"="+c.To)
	case host.LinkKind:
		return "ip link set dev " + word(c.Target.Name) + " txqueuelen " + word(c.To)
	}
	return shellComments(c.Setting + ": " + c.From + " to " + c.To)
}
