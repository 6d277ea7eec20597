package lint

import "fmt"

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
