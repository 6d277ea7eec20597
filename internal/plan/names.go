package plan

import (
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
	return text != "" && encode.Only(text, " ,_-") && text[0] != ' ' && text[0] != ',' &&
		encode.IsPlain(text) &&
		(text[0] != '-' || len(text) > 1 && text[1] >= '0' && text[1] <= '9')
}

func notCount(value string) string {
	if n, err := strconv.ParseUint(value, 10, 31); err != nil || n == 0 {
		return "the value has to be a whole number from 1 to 2147483647, and is " +
			strconv.Quote(
				value,
			)
	}
	return ""
}

// IsKey says whether a text is the name of a sysctl: dots separate, a slash stands for a dot in a
// device's name; no glob, nothing that leads elsewhere.
func IsKey(name string) bool {
	return knob.IsSysctl(name) && knob.IsKey(name) && encode.Only(name, "._-/:") &&
		!strings.Contains(name, "..")
}

// IsDevice says whether a text is the name of a device that nothing gives a meaning to: the
// kernel's dev_valid_name allows more, and udev takes * ? [ ] | for patterns.
func IsDevice(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." &&
		encode.Only(name, "._-:@")
}

// IsService says whether a text is the name of a systemd service (systemd.unit(5)) that can be a
// directory, and nothing else.
func IsService(name string) bool {
	stem, ok := strings.CutSuffix(name, ".service")
	return ok && stem != "" && len(name) < 250 && encode.Only(name, `:_.\@-`) &&
		name[0] != '.' && name[0] != '-'
}
