package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
)

// largestPlan bounds what is read as a plan, in bytes.
const largestPlan = 4 << 20

// ReadPlan reads a plan and checks that each change is one that maxconn could have
// proposed: a file edited by hand, or one that came from elsewhere, writes to settings of
// connections only, lowers none, and says what it writes.
func ReadPlan(r io.Reader) (plan.Plan, error) {
	text, err := io.ReadAll(io.LimitReader(r, largestPlan+1))
	if err != nil {
		return plan.Plan{}, err
	}
	if len(text) > largestPlan {
		return plan.Plan{}, fmt.Errorf("more than %d MiB, not a plan", largestPlan>>20)
	}
	var p plan.Plan
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&p); err != nil {
		return plan.Plan{}, fmt.Errorf("not a plan: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return plan.Plan{}, fmt.Errorf("not a plan: more follows after its end")
	}
	if err := Check(p); err != nil {
		return p, err
	}
	if err := plan.Admit(p); err != nil {
		return p, err
	}
	return bounded(p), nil
}

// Check says what in a plan is not of the form that a plan has.
func Check(p plan.Plan) error {
	if p.Schema != plan.Schema {
		return fmt.Errorf("its schema is %.60q, this maxconn applies %q", p.Schema,
			plan.Schema)
	}
	seen := map[string]int{}
	for i, c := range p.Changes {
		if err := checkChange(c); err != nil {
			return fmt.Errorf("change %d (%.60s): %w", i+1, orNothing(c.Setting), err)
		}
		key := fmt.Sprintf("%s %d", c.Target.Fact(), c.Target.Inode)
		if first, twice := seen[key]; twice {
			return fmt.Errorf("change %d (%.60s) is for the target of change %d", i+1,
				c.Setting, first)
		}
		seen[key] = i + 1
	}
	return nil
}

func checkChange(c plan.Change) error {
	t := c.Target
	for _, text := range []string{t.Name, c.From, c.To, c.Setting} {
		if strings.ContainsAny(text, "\x00\n\r") || len(text) > 4096 {
			return fmt.Errorf("%.40q is not a name or a value", text)
		}
	}
	if t.Kind != host.ListenerKind && (t.PID != 0 || t.Inode != 0 || t.Cookie != 0) ||
		t.Start != 0 && (t.Kind == host.SysctlKind || t.Kind == host.LinkKind) ||
		t.Index != 0 && t.Kind != host.LinkKind {
		return fmt.Errorf("it names a process, a socket or a device, and a %s has none",
			t.Kind)
	}
	switch t.Kind {
	case host.SysctlKind:
		return validSysctl(t)
	case host.ProcessKind:
		return validProcess(c)
	case host.ListenerKind:
		return validListener(c)
	case host.LinkKind:
		return validLink(c)
	}
	return fmt.Errorf("there is no target of kind %q", t.Kind)
}

// validSysctl accepts the spelling with dots only, so that a name has one form, and keys of
// connections only.
func validSysctl(t plan.Target) error {
	if t.Field != "" {
		return fmt.Errorf("a sysctl has no field %q", t.Field)
	}
	if !knob.IsKey(t.Name) {
		return fmt.Errorf("%q is not the name of a sysctl", t.Name)
	}
	if !knob.InNetns(t.Name) && !knob.Plannable(t.Name) {
		return fmt.Errorf("%q is no setting of connections", t.Name)
	}
	return nil
}

func validProcess(c plan.Change) error {
	t := c.Target
	pid, err := strconv.ParseInt(t.Name, 10, 31)
	switch {
	case err != nil || pid <= 0 || t.Name != strconv.FormatInt(pid, 10):
		return fmt.Errorf("%q is not a process ID", t.Name)
	case t.Start == 0:
		return fmt.Errorf("it does not say when process %d started", pid)
	case t.Field != fieldSoft && t.Field != fieldHard:
		return fmt.Errorf("a process has no field %q: soft or hard", t.Field)
	}
	for _, v := range []string{c.From, c.To} {
		if _, err := parseBound(v); err != nil {
			return fmt.Errorf("%q is not a number of descriptors", v)
		}
	}
	return nil
}

func validListener(c plan.Change) error {
	t := c.Target
	if _, err := listenerAddress(t.Name); err != nil {
		return err
	}
	switch {
	case t.PID <= 0 || t.PID >= 1<<31 || t.Start == 0:
		return fmt.Errorf(
			"it does not say which process holds the listener, and when that started")
	case t.Inode == 0:
		return fmt.Errorf("it does not say the inode of the listening socket")
	case t.Field != fieldLimit:
		return fmt.Errorf("a listener has no field %q: limit", t.Field)
	}
	return numbers(c, 31)
}

func validLink(c plan.Change) error {
	if c.Target.Field != fieldTxQueueLen || c.Target.Name == "" || len(c.Target.Name) > 15 ||
		strings.ContainsAny(c.Target.Name, "/ ") || c.Target.Index < 0 {
		return fmt.Errorf("a device %q has no field %q", c.Target.Name, c.Target.Field)
	}
	return numbers(c, 31)
}

func numbers(c plan.Change, bits int) error {
	for _, v := range []string{c.From, c.To} {
		if _, err := strconv.ParseUint(v, 10, bits); err != nil {
			return fmt.Errorf("%q is not a whole number in its range", v)
		}
	}
	return nil
}

// listenerAddress is the address of "0.0.0.0:80" and of "0.0.0.0:80~2", a further member of
// its group.
func listenerAddress(name string) (netip.AddrPort, error) {
	text, _, _ := strings.Cut(name, "~")
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Port() == 0 {
		return at, fmt.Errorf("%q is not the address and port of a listener", name)
	}
	return at, nil
}
