package lint

import (
	"fmt"
	"math"

	"github.com/maxconn/maxconn/internal/knob"
)

// rareHost is the memory in GiB above which a host is no common one: a value that only they
// have a higher default than is not called low.
const rareHost = 8

// compare judges a number where more is better: does is what it does, and where it is below
// the default the verdict is less, with lower as the reason.
func (c *evaluation) compare(d knob.Amount, v int64, does string, less Verdict, lower string) {
	switch {
	case d.Known && (v == d.N || d.Rough && nearly(v, d.N)):
		c.note(Effective, does+" That is the default of this kernel"+procpsNote(d)+".",
			c.rule.Source)
	case d.Known && v < d.N && less != "":
		c.notef(less, "%s is below the default of this kernel, %s%s: %s",
			count(v), about(d), procpsNote(d), lower)
	case d.Known:
		c.note(Effective, does+fmt.Sprintf(" The default of this kernel is %s%s.", about(d),
			procpsNote(d)), c.rule.Source)
	case d.Hosts == nil:
		c.note(Effective, does, c.rule.Source)
	default:
		c.compareHosts(d, v, does, less, lower)
	}
	if now, ok := c.runningNumber(); ok && now > v && (!d.Known || v >= d.N) && less != "" {
		c.caution("This host has " + count(now) + " now: the line lowers it.")
	}
}

// compareHosts does so without knowing the host's memory.
func (c *evaluation) compareHosts(d knob.Amount, v int64, does string, less Verdict, lower string) {
	gib := d.Hosts(v)
	switch {
	case gib == 0:
		c.note(Effective, does+" No host has a higher default.", c.rule.Source)
	case gib > rareHost || less == "":
		c.note(Effective, does+" Hosts with more than "+gibibytes(gib)+
			" of memory have a higher default"+procpsNote(d)+".", c.rule.Source)
	default:
		c.notef(less, "On hosts with more than %s of memory %s is below the default%s: %s",
			gibibytes(gib), count(v), procpsNote(d), lower)
	}
}

// runningNumber is the setting's value now.
func (c *evaluation) runningNumber() (int64, bool) {
	if c.key == "" {
		return 0, false
	}
	text, ok := c.running(knob.Main(c.key))
	if !ok || c.world.scope != "" {
		return 0, false
	}
	v := numbers(text, 1)
	return first(v.n), v.wrong == ""
}

func first(n []int64) int64 {
	if len(n) == 0 {
		return 0
	}
	return n[0]
}

func about(d knob.Amount) string {
	if d.Rough {
		return "about " + count(twoDigits(d.N))
	}
	return count(d.N)
}

func procpsNote(d knob.Amount) string { return d.Words }

// twoDigits rounds down to two digits, as figures that follow the memory are no more exact.
func twoDigits(n int64) int64 {
	p := int64(1)
	for n/p >= 100 {
		p *= 10
	}
	return n / p * p
}

func gibibytes(g float64) string {
	if g < 1 {
		return fmt.Sprintf("%d MiB", int64(math.Ceil(g*1024)))
	}
	if g >= 100 {
		return count(int64(g)) + " GiB"
	}
	return fmt.Sprintf("%.3g GiB", g)
}

// nearly says whether two numbers differ by less than a twelfth: defaults computed from memory are
// that exact.
func nearly(a, b int64) bool {
	return math.Abs(float64(a)-float64(b)) <= float64(max(a, b))/12
}

// stays says that a line which only raises, or only lowers, leaves the value as it is.
func (c *evaluation) stays() (Note, bool) {
	if c.oneWay == "" || len(c.n) != 1 {
		return Note{}, false
	}
	now, from, ok := c.present()
	if !ok || c.oneWay == ">" && c.n[0] > now || c.oneWay == "<" && c.n[0] < now {
		return Note{}, false
	}
	does := map[string]string{">": "raises", "<": "lowers"}[c.oneWay]
	return Note{NoEffect,
		fmt.Sprintf("TuneD only %s with =%s, and %s is %s: the line leaves it as it is.",
			does, c.oneWay, from, count(now)),
		"tuned/plugins/base.py _process_assignment_modifiers"}, true
}

// present is the value that is there before the line: that of the host, or the default.
func (c *evaluation) present() (n int64, from string, ok bool) {
	none := func(string) (setting, bool) { return setting{}, false }
	return c.from(none, c.key)
}
