package render

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// KnobPage is a setting: its value, whether this kernel has it, and what it does to each limit.
type KnobPage struct {
	Name   string    `json:"name"`
	Value  string    `json:"value"`            // "" where unknown or empty: see Unread
	Known  bool      `json:"known"`            // the value was read
	Unread string    `json:"unread,omitempty"` // why the value is not known
	Lacks  string    `json:"lacks,omitempty"`  // why this kernel does not have it
	Uses   []KnobUse `json:"uses"`
}

// KnobUse is what a knob does and does not do to a limit.
type KnobUse struct {
	Limit  string `json:"limit"`
	Does   string `json:"does"`
	Not    string `json:"does_not,omitempty"`
	Since  string `json:"since,omitempty"`
	Until  string `json:"until,omitempty"`
	Source string `json:"source"`
}

// knobPages is one page a knob, with all limits that know it; uses are sorted by name.
func knobPages(uses []limit.KnobUse, s host.Snapshot) (pages []KnobPage) {
	for len(uses) > 0 {
		n := 1
		for n < len(uses) && uses[n].Knob.Name == uses[0].Knob.Name {
			n++
		}
		pages = append(pages, knobPage(uses[:n], s))
		uses = uses[n:]
	}
	return pages
}

func knobPage(uses []limit.KnobUse, s host.Snapshot) KnobPage {
	p := KnobPage{Name: uses[0].Knob.Name}
	for _, u := range uses {
		k := u.Knob
		p.Uses = append(p.Uses, KnobUse{string(u.Limit.ID), k.Does, k.Not, k.Since, k.Until, k.Source})
	}
	r, seen := s.Lookup(host.Sysctl(p.Name))
	p.Known = seen && r.Err == ""
	if p.Known {
		p.Value = r.Text
		return p
	}
	kernel := s.Read().Kernel()
	for _, u := range uses {
		if p.Lacks == "" {
			p.Lacks = lacks(kernel, u.Knob.Since, u.Knob.Until)
		}
	}
	p.Unread = r.Err
	return p
}

// lacks says that a kernel is older than what a knob came with, or newer than what it went with.
func lacks(kernel host.Release, since, until string) string {
	from, to := version(since), version(until)
	switch {
	case !kernel.Known():
		return ""
	case !from.IsZero() && kernel.Compare(from) < 0:
		return "it came with Linux " + since + ", this is " + kernel.String()
	case !to.IsZero() && kernel.Compare(to) >= 0:
		return "it is gone since Linux " + until + ", this is " + kernel.String()
	}
	return ""
}

// version is that of a knob; zero where it has none.
func version(text string) host.Version {
	v, _ := host.ParseVersion(text)
	return v
}
