package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// valid is a change that a row of bounds admits.
func (b bound) valid() Change {
	c := Change{Target: Target{Kind: host.SysctlKind, Name: b.name}, Limit: string(b.limits[0])}
	if kind, field, ok := strings.Cut(b.name, "#"); ok {
		c.Target = Target{
			Kind:  host.Kind(kind),
			Name:  "x",
			Field: field,
			PID:   7,
			Start: 1,
			Inode: 1,
		}
	}
	least := fmt.Sprint(b.least)
	switch b.form {
	case oneNumber:
		c.From, c.To = "0", least
		if !knob.Gives(b.name, c.From, c.To) { // less is more
			c.From = fmt.Sprint(b.most + 1)
		}
	case threeNumbers:
		c.From, c.To = "0 0 0", strings.Join([]string{least, least, least}, " ")
	case portPair:
		c.From, c.To = "32768 60999", fmt.Sprint(b.least, b.most)
	case portList:
		c.From, c.To = "", "40000"
	}
	return c
}

// Each row of the bounds is held to them: at its ends a change is admitted, beyond them, in another
// form, or for another limit it is not. What has no row is not admitted at all.
func TestBounds(t *testing.T) {
	wider := Change{
		Target: Target{Kind: host.SysctlKind, Name: "net.ipv4.ip_local_port_range"},
		Limit:  "ephemeral-ports",
		From:   "32768 60999",
		To:     "1024 65535",
	}
	for _, b := range bounds {
		admitted := func(edit func(*Change)) error {
			c := b.valid()
			edit(&c)
			p := Plan{Changes: []Change{c}}
			if b.form == portList {
				p.Changes = append(p.Changes, wider)
			}
			return Admit(p)
		}
		if err := admitted(func(*Change) {}); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		for _, id := range b.limits {
			if limit.Find(limit.ID(id)) == nil {
				t.Errorf("%s: there is no limit %s", b.name, id)
			}
		}
		for what, edit := range map[string]func(*Change){
			"more than the most": func(c *Change) { c.To = each(b, b.most+1) },
			"less than the least": func(c *Change) {
				c.To = each(b, b.least-1)
			},
			"nothing new":       func(c *Change) { c.From = c.To },
			"no number":         func(c *Change) { c.To = "x" },
			"a word more":       func(c *Change) { c.To += " 1" },
			"a negative number": func(c *Change) { c.To = each(b, -5) },
			"another limit":     func(c *Change) { c.Limit = "neighbour" },
			"an old value in another form": func(c *Change) {
				c.From = "x y"
			},
		} {
			if err := admitted(edit); err == nil {
				t.Errorf("%s, %s: admitted", b.name, what)
			}
		}
	}
	for _, name := range []string{
		"net.ipv4.tcp_rmem", "net.ipv4.tcp_syn_retries",
		"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_forward",
	} {
		c := bounds[0].valid()
		c.Target.Name = name
		if Admit(Plan{Changes: []Change{c}}) == nil {
			t.Errorf("%s: admitted", name)
		}
	}
}

func each(b bound, n int64) string {
	word := fmt.Sprint(n)
	switch b.form {
	case threeNumbers:
		return strings.Join([]string{word, word, word}, " ")
	case portPair:
		return word + " " + word
	case portList:
		return "1-" + fmt.Sprint(max(n, 70000))
	}
	return word
}

// A list of reserved ports never takes the whole range, and comes with a wider range.
func TestReservedPortsLeaveSome(t *testing.T) {
	reserve := Change{
		Target: Target{Kind: host.SysctlKind, Name: "net.ipv4.ip_local_reserved_ports"},
		Limit:  "ephemeral-ports",
		From:   "",
		To:     "1024-65535",
	}
	wider := Change{
		Target: Target{Kind: host.SysctlKind, Name: "net.ipv4.ip_local_port_range"},
		Limit:  "ephemeral-ports",
		From:   "32768 60999",
		To:     "32768 61999",
	}
	for _, changes := range [][]Change{{reserve}, {reserve, wider}} {
		if err := Admit(Plan{Changes: changes}); err == nil {
			t.Errorf("%d changes: admitted", len(changes))
		}
	}
	reserve.To = "61000"
	if err := Admit(Plan{Changes: []Change{reserve, wider}}); err != nil {
		t.Error(err)
	}
}

// What a journal may restore: what plans of earlier versions changed too, but nothing that none
// did.
func TestAdmitOld(t *testing.T) {
	known := func(name string) bool { return name == "net.ipv4.tcp_rmem" }
	old := func(name, from, to string) Plan {
		return Plan{
			Changes: []Change{
				{Target: Target{Kind: host.SysctlKind, Name: name}, From: from,
					To: to},
			},
		}
	}
	for _, p := range []Plan{
		old("net.core.somaxconn", "128", "4096"),
		old("net.ipv4.tcp_rmem", "1 2 3", "1 2 4"),
		old("fs.nr_open", "1048576", "2147483584"),
	} {
		if err := AdmitOld(p, known); err != nil {
			t.Error(err)
		}
	}
	for _, p := range []Plan{
		old(
			"kernel.core_pattern",
			"|/tmp/x",
			"core",
		), old("net.ipv4.ip_forward", "0", "1"), old("net.core.somaxconn", "4096", "128"),
		old("net.core.somaxconn", "x", "128"),
		old("net.ipv4.ip_local_port_range", "1", "2"),
	} {
		if err := AdmitOld(p, known); err == nil {
			t.Errorf("%+v: admitted", p.Changes[0])
		}
	}
	if !slices.ContainsFunc(bounds, func(b bound) bool { return b.name == "fs.nr_open" }) {
		t.Error("no row for fs.nr_open")
	}
}
