package render

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// KnobPage is a setting: its value, whether this kernel has it, what it does, and the limits that
// know it.
type KnobPage struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // "" where unknown or empty: see Unread
	Known  bool   `json:"known"`            // the value was read
	Unread string `json:"unread,omitempty"` // why the value is not known
	Lacks  string `json:"lacks,omitempty"`  // why this kernel does not have it
	Facts
	Uses []KnobUse `json:"uses"`
}

// Facts are what is known of a setting on any host.
type Facts struct {
	Does   string `json:"does"`
	Not    string `json:"does_not,omitempty"`
	Since  string `json:"since,omitempty"`
	Until  string `json:"until,omitempty"`
	Source string `json:"source"`
}

// KnobUse is a limit that a setting acts on, or is believed to.
type KnobUse struct {
	Limit string `json:"limit"`
	Facts
}

// knobPage is all about a setting; the limits are those that name it, or the one that is given.
func knobPage(k *knob.Knob, s host.Snapshot, limits ...*limit.Limit) KnobPage {
	p := KnobPage{Name: k.Name, Facts: factsOf(k), Uses: []KnobUse{}}
	for _, l := range limits {
		p.Uses = append(p.Uses, KnobUse{string(l.ID), p.Facts})
	}
	r, seen := s.Lookup(host.Sysctl(p.Name))
	p.Known = seen && r.Err == ""
	if p.Known {
		p.Value = r.Text
		return p
	}
	p.Lacks, p.Unread = lacks(s.Read().Kernel(), k.Since, k.Until), r.Err
	return p
}

func factsOf(k *knob.Knob) Facts {
	f := Facts{Does: k.Says(), Not: k.Not, Source: k.Source}
	if !k.Since.None() {
		f.Since = k.Since.By.String()
	}
	if !k.Until.None() {
		f.Until = k.Until.By.String()
	}
	return f
}

// lacks says that a kernel is older than what a knob came with, or newer than what it went with.
func lacks(kernel host.Release, since, until knob.Span) string {
	if !kernel.Known() {
		return ""
	}
	came, sure := since.Reached(kernel)
	gone, _ := until.Reached(kernel)
	switch {
	case !since.None() && !came && sure:
		return "it came with " + since.String() + ", this is " + kernel.String()
	case !until.None() && gone:
		return "it is gone since " + until.String() + ", this is " + kernel.String()
	}
	return ""
}
