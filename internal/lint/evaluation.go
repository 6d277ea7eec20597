package lint

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// evaluation is one setting under judgement.
type evaluation struct {
	setting
	*env
	rule  *rule
	n     []int64 // the value's numbers
	rest  string  // what stands behind them
	notes []Note
	order *order
	index int // of the setting
}

// otherSetting finds what another key is set to by the lines that are read together with this one.
func (c *evaluation) otherSetting(key string) (setting, bool) {
	return c.order.otherSetting(c.index, key, false)
}

// earlier does so among the lines that act before this one.
func (c *evaluation) earlier(key string) (setting, bool) {
	return c.order.otherSetting(c.index, key, true)
}

// at names the line of a setting.
func (c *evaluation) at(p setting) string { return c.order.lineOf(c.file, p) }

func (c *evaluation) note(v Verdict, why, source string) {
	c.notes = append(c.notes, Note{v, why, source})
}

// notef is a note by the rule of the setting.
func (c *evaluation) notef(v Verdict, format string, args ...any) {
	c.note(v, fmt.Sprintf(format, args...), c.rule.Source)
}

func (c *evaluation) sayf(v Verdict, format string, args ...any) {
	c.say(v, fmt.Sprintf(format, args...))
}

func (c *evaluation) cautionf(format string, args ...any) {
	c.caution(fmt.Sprintf(format, args...))
}

// caution adds a sentence to the verdict that was given last.
func (c *evaluation) caution(why string) {
	if last := len(c.notes) - 1; last >= 0 {
		c.notes[last].Why += " " + why
	}
}

// say gives the rule's own text with this verdict.
func (c *evaluation) say(v Verdict, text string) { c.note(v, c.fill(text), c.rule.Source) }

// fill puts value and default into a text.
func (c *evaluation) fill(text string) string {
	text = strings.ReplaceAll(text, "{v}", c.shown())
	if d, ok := c.standard(); ok {
		text = strings.ReplaceAll(text, "{d}", about(d)+d.Words)
	}
	return text
}

// standard is the default of this kernel; ok says that it has one.
func (c *evaluation) standard() (d knob.Amount, ok bool) {
	if c.rule == nil {
		return d, false
	}
	return c.rule.Default.Amount(c.host())
}

// usual is the default of a setting, 0 where there is none.
func (g *env) usual(key string) int64 {
	r := ruleOf(key)
	if r == nil {
		return 0
	}
	d, _ := r.Default.Amount(g.host())
	return d.N
}

// shown is the value for people.
func (c *evaluation) shown() string {
	if len(c.n) == 0 {
		return c.value
	}
	var words []string
	for _, n := range c.n {
		words = append(words, count(n))
	}
	return strings.Join(words, " ")
}

// byDefault says of a value that nothing is known to set it.
const byDefault = "the default"

// other is what another setting is or will be: by these files, else as it is now, else by default.
// from says which, as words.
func (c *evaluation) other(key string) (n int64, from string, ok bool) {
	return c.from(c.otherSetting, key)
}

// before is what another setting is when this line acts.
func (c *evaluation) before(key string) (n int64, from string, ok bool) {
	return c.from(c.earlier, key)
}

func (c *evaluation) from(
	of func(string) (setting, bool), key string,
) (n int64, from string, ok bool) {
	if s, found := of(key); found {
		if v := numbers(s.value, 1); v.wrong == "" {
			return v.n[0], c.at(s), true
		}
	}
	if text, found := c.running(key); found && c.world.scope == "" {
		if v := numbers(text, 1); v.wrong == "" {
			return v.n[0], "the running value", true
		}
	}
	if r := ruleOf(key); r != nil {
		if d, ok := r.Default.Amount(c.host()); ok && d.Known {
			return d.N, byDefault, true
		}
	}
	return 0, "", false
}

// env is the kernel and host that lines are judged for.
type env struct {
	on      Target
	kernel  host.Release
	text    string // the release as written
	read    *host.Reader
	spelled *spellings
	// processes are those of programs that were asked for, nil where none runs
	processes map[string]*host.Row
}

func newEnv(t Target) *env {
	g := &env{on: t, read: t.Snapshot.Read(), spelled: &spellings{}}
	g.text = g.read.Optional(host.System("kernel"))
	g.kernel, _ = host.ParseRelease(g.text)
	if t.Kernel != "" {
		g.kernel, _ = host.ReleaseNamed(t.Kernel)
		g.text = cmp.Or(g.kernel.String(), t.Kernel)
	}
	return g
}

// since says whether the kernel is this release or newer. An unknown one is.
func (g *env) since(major, minor int) bool {
	return g.host().Since(major, minor)
}

// child says whether the subject is a network namespace other than the initial one.
func (g *env) child() bool { return g.read.Optional(host.System("scope")) == "child" }

// seen says whether anything was observed.
func (g *env) seen() bool { return g.on.Kernel == "" && g.on.Snapshot.Len() > 0 }

// running is the value of a sysctl now.
func (g *env) running(key string) (string, bool) {
	f := host.Sysctl(key)
	if !g.read.Has(f) {
		return "", false
	}
	return g.read.Text(f), true
}

// missing says whether the running kernel was asked for a sysctl and does not have it.
func (g *env) missing(key string) bool {
	_, ok := g.on.Snapshot.Lookup(host.Sysctl(key))
	return ok && !g.read.Has(host.Sysctl(key))
}

// host is what defaults follow from.
func (g *env) host() knob.Host { return knob.Host{Kernel: g.kernel, Read: g.read} }

// sameText compares values as the kernel prints them, whatever blanks are in them.
func sameText(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}
