package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// MostText is how long a text of a plan may be, in bytes: the reasons are formulas with figures and
// seldom longer than 300.
const MostText = 1000

// mostChanges bounds what somebody is asked to agree to: a few settings, and each socket of
// some groups.
const mostChanges = 4096

// Admit says what in a plan from a file the catalogue would never propose: a setting that the limit
// does not lift, a value out of its bounds or not more than the old one, or a change that is shown
// under another name than that of what it writes.
func Admit(p Plan) error {
	if n := len(p.Changes); n > mostChanges {
		return fmt.Errorf("it has %d changes, and none has more than %d", n, mostChanges)
	}
	for i, c := range p.Changes {
		if err := admit(c); err != nil {
			return fmt.Errorf("change %d (%s): %w", i+1, c.Target.Called(""), err)
		}
	}
	return leavesPorts(p)
}

func admit(c Change) error {
	b, ok := boundOf(c.Target)
	switch {
	case !ok:
		return fmt.Errorf("%.60q is no setting that a plan changes", c.Target.Name)
	case c.Setting != "" && !c.named():
		return fmt.Errorf("it is called %.60q, and that is something else", c.Setting)
	case c.Limit != "" && !slices.Contains(b.limits, string(c.Limit)):
		// one by hand may omit it
		return fmt.Errorf("the limit %.40q does not lift it", c.Limit)
	}
	for _, v := range []struct{ name, text string }{{"from", c.From}, {"to", c.To}} {
		if err := cmp.Or(b.inForm(v.text), decimal(v.text)); err != nil {
			return fmt.Errorf("%s %.60q: %w", v.name, v.text, err)
		}
	}
	if err := b.holds(c); err != nil {
		return fmt.Errorf("to %.60q: %w", c.To, err)
	}
	if !c.Raises() {
		return fmt.Errorf(
			"from %.60q to %.60q: a plan makes nothing less, and sets nothing that "+
				"does harm",
			c.From,
			c.To,
		)
	}
	return nil
}

// AdmitOld says what in a plan that was carried out once, as a journal tells, no maxconn has ever
// carried out: then its old values must not be written either. It is less strict than Admit, which
// came later.
func AdmitOld(p Plan, known func(sysctl string) bool) error {
	for i, c := range p.Changes {
		b, ok := boundOf(c.Target)
		switch {
		case !ok && (c.Target.Kind != host.SysctlKind || !known(c.Target.Name)):
			return fmt.Errorf(
				"change %d: %.60q is no setting that a plan changes",
				i+1,
				c.Target.Name,
			)
		case ok && (b.inForm(c.From) != nil || b.inForm(c.To) != nil), !c.Raises():
			return fmt.Errorf(
				"change %d (%s): no plan goes from %.60q to %.60q",
				i+1,
				c.Target.Called(""),
				c.From,
				c.To,
			)
		}
	}
	return nil
}

// boundOf finds the row of a target.
func boundOf(t Target) (bound, bool) {
	name := t.Name
	if t.Kind != host.SysctlKind {
		name = string(t.Kind) + "#" + t.Field
	}
	i := slices.IndexFunc(bounds, func(b bound) bool { return b.name == name })
	if i < 0 {
		return bound{}, false
	}
	return bounds[i], true
}

// unlimited is a limit of a process without a number.
const unlimited = "unlimited"

// inForm says whether a value is written as that of the setting is.
func (b bound) inForm(value string) error {
	if b.form == portList {
		_, err := host.ParsePorts(value)
		return err
	}
	if value == unlimited && strings.HasPrefix(b.name, string(host.ProcessKind)) {
		return nil
	}
	_, err := b.numbers(value)
	return err
}

// decimal refuses numbers that the kernel does not read as this program does: it takes a leading
// zero for octal (kernel/sysctl.c proc_get_long), so that "01024" would be port 532.
func decimal(value string) error {
	for digits := range strings.FieldsFuncSeq(value, func(r rune) bool {
		return r < '0' || r > '9'
	}) {
		if len(digits) > 1 && digits[0] == '0' {
			return fmt.Errorf(
				"%.20q begins with a zero, which the kernel takes for octal",
				digits)
		}
	}
	if strings.Contains(value, "+") {
		return errors.New("a number has no sign")
	}
	return nil
}

func (b bound) numbers(value string) (out []int64, err error) {
	fields := strings.Fields(value)
	want := map[form]int{oneNumber: 1, threeNumbers: 3, portPair: 2}[b.form]
	if len(fields) != want {
		return nil, fmt.Errorf("it has to be %d whole numbers", want)
	}
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%.20q is not a whole number in its range", f)
		}
		out = append(out, n)
	}
	return out, nil
}

// holds says whether the new value of a change is within the bounds. A range that begins lower
// already may stay there.
func (b bound) holds(c Change) error {
	if b.form == portList {
		_, err := host.ParsePorts(c.To)
		return err
	}
	to, err := b.numbers(c.To)
	if err != nil {
		return err
	}
	from, _ := b.numbers(c.From)
	for i, n := range to {
		if stays := i < len(from) && from[i] == n &&
			b.form != oneNumber; (n < b.least && !stays) || n > b.most {
			return fmt.Errorf("a plan goes from %d to %d", b.least, b.most)
		}
	}
	return nil
}

// leavesPorts refuses a list of reserved ports that leaves connect() nothing of the range. The
// catalogue adds servers to the list only where it widens the range, too.
func leavesPorts(p Plan) error {
	find := func(name string) int {
		return slices.IndexFunc(
			p.Changes,
			func(c Change) bool {
				return c.Target == Target{Kind: host.SysctlKind, Name: name}
			},
		)
	}
	at, with := find("net.ipv4.ip_local_reserved_ports"), find("net.ipv4.ip_local_port_range")
	if at < 0 {
		return nil
	}
	if with < 0 {
		return fmt.Errorf("change %d: ports are reserved only where the range gets wider",
			at+1)
	}
	reserved, err := host.ParsePorts(p.Changes[at].To)
	if err != nil {
		return err
	}
	var low, high int64
	if _, err := fmt.Sscan(p.Changes[with].To, &low, &high); err != nil {
		return err
	}
	inside := reserved.Within(low, high)
	if left := high - low + 1 - inside.Len(); left < 2 {
		return fmt.Errorf("change %d: it leaves %d ports to connect from", at+1, left)
	}
	return nil
}

// Called is a target in words: from what is written to and the name of its process, "" where that
// is not known, and nothing else.
func (t Target) Called(name string) string {
	switch t.Kind {
	case host.ProcessKind:
		return t.Field + " descriptor limit of " + process(name, t.Name)
	case host.ListenerKind:
		at, member, several := strings.Cut(t.Name, "~")
		if several {
			at += " (member " + member + " of its SO_REUSEPORT group)"
		}
		return "accept queue of " + at + ", " + process(name, strconv.FormatInt(t.PID, 10))
	case host.LinkKind:
		return t.Field + " of " + t.Name
	}
	return t.Name
}

// named says whether a change is called by its target; a process may have any name.
func (c Change) named() bool {
	nameless := c.Target.Called("")
	at := strings.LastIndex(nameless, "pid ")
	if k := c.Target.Kind; k != host.ProcessKind && k != host.ListenerKind || at < 0 {
		return c.Setting == nameless
	}
	name, ok := strings.CutPrefix(c.Setting, nameless[:at])
	return ok && (name == nameless[at:] || strings.HasSuffix(name, " ("+nameless[at:]+")"))
}
