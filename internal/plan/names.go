package plan

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// Unfit is why a change cannot stand in a file or a script, or "": a plan comes from a snapshot or
// a file of somebody else, and files of settings have no quotes.
func Unfit(c Change) string {
	t := c.Target
	switch t.Kind {
	case host.SysctlKind:
		switch {
		case !IsKey(t.Name):
			return "not the name of a sysctl"
		case !isValue(c.To):
			return "the value is no number, list of numbers or word"
		case knob.Key(t.Name) == conntrackBuckets:
			return notCount(c.To)
		}
	case host.LinkKind:
		switch {
		case !IsDevice(t.Name):
			return "not the name of a network device"
		case t.Field != "txqueuelen":
			return "of a device only txqueuelen can be set"
		}
		return notCount(c.To)
	case host.ProcessKind:
		if t.Field != "soft" && t.Field != "hard" {
			return "of a process only soft and hard can be set"
		}
		return notCount(c.To)
	case host.ListenerKind:
	default:
		return "a change of kind " + strconv.Quote(string(t.Kind)) + " is not known"
	}
	return ""
}

// conntrackBuckets is an option of a module at the next boot.
const conntrackBuckets = "net.netfilter.nf_conntrack_buckets"

// isValue says whether a text is a value that the settings of a plan have: a number, numbers with
// spaces or commas between them, ranges, a word.
func isValue(text string) bool {
	return text != "" && only(text, " ,_-") && text[0] != ' ' && text[0] != ',' &&
		encode.IsPlain(text) &&
		(text[0] != '-' || len(text) > 1 && text[1] >= '0' && text[1] <= '9')
}

func notCount(value string) string {
	if n, err := strconv.ParseUint(value, 10, 31); err != nil || n == 0 {
		return "the value has to be a whole number from 1 to 2147483647, and is " + strconv.Quote(
			value,
		)
	}
	return ""
}

// unfitForScript adds what files do not need: the process ID, the limits and the listener, which a
// command takes as words.
func unfitForScript(c Change) string {
	if why := Unfit(c); why != "" {
		return why
	}
	switch c.Target.Kind {
	case host.ProcessKind:
		if n, err := strconv.ParseUint(c.Target.Name, 10, 31); err != nil || n == 0 {
			return "not a process ID"
		}
		soft, hard, _ := strings.Cut(c.Limits, ":")
		if notCount(soft) != "" || notCount(hard) != "" && hard != "unlimited" {
			return "the limits are no numbers"
		}
	case host.ListenerKind:
		if _, err := netip.ParseAddrPort(plainListener(c)); err != nil {
			return "not the address of a listener"
		}
		return notCount(c.To)
	}
	return ""
}

// IsKey says whether a text is the name of a sysctl: dots separate, a slash stands for a dot in a
// device's name; no glob, nothing that leads elsewhere.
func IsKey(name string) bool {
	return knob.IsSysctl(name) && knob.IsKey(name) && only(name, "._-/:") &&
		!strings.Contains(name, "..")
}

// IsDevice says whether a text is the name of a device that nothing gives a meaning to: the
// kernel's dev_valid_name allows more, and udev takes * ? [ ] | for patterns.
func IsDevice(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." && only(name, "._-:@")
}

// IsService says whether a text is the name of a systemd service (systemd.unit(5)) that can be a
// directory, and nothing else.
func IsService(name string) bool {
	stem, ok := strings.CutSuffix(name, ".service")
	return ok && stem != "" && len(name) < 250 && only(name, `:_.\@-`) && name[0] != '.' &&
		name[0] != '-'
}

// isHost says whether a text names one host to Ansible, and not a pattern, a group or the
// controller itself (Ansible documentation, "Patterns: targeting hosts and groups").
func isHost(name string) bool {
	switch name {
	case "", "all", "ungrouped", "localhost":
		return false
	}
	return len(name) < 254 && only(name, ".-_") && name[0] != '-' && name[0] != '.'
}

// only says whether a text is of letters, digits and these marks.
func only(s, marks string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune(marks, r))
	})
}
