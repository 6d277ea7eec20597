package render

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/limit"
)

// ExplanationText writes an explanation for a terminal.
func ExplanationText(w io.Writer, e Explanation, style Style) error {
	s := newScreen(style)
	for _, p := range e.Limits {
		s.limitPage(e, p)
	}
	parts := 0
	part := func() {
		if parts++; parts > 1 {
			s.rule()
		}
	}
	for i, p := range e.Signs {
		part()
		s.matched(e, p, slices.ContainsFunc(e.Signs[:i], func(before SignPage) bool {
			return before.Limit == p.Limit
		}))
	}
	for _, c := range e.OtherCauses {
		part()
		s.otherCause(c)
	}
	s.named(e, part)
	for _, p := range e.Knobs {
		part()
		s.knob(p)
	}
	for _, w := range e.Words {
		part()
		s.word(w)
	}
	if e.NoFigures != "" && len(e.Knobs)+len(e.Signs)+len(e.Words) > 0 {
		s.blank()
		s.para(0, 2, span{"No figures of this host", yellow}, text(": "+e.NoFigures))
	}
	return s.flush(w)
}

// ExplanationJSON writes an explanation in its stable form.
func ExplanationJSON(w io.Writer, e Explanation) error { return writeJSON(w, e) }

func (s *screen) head(words string) {
	s.blank()
	s.line(0, span{words, bold})
}

func (s *screen) limitPage(e Explanation, p LimitPage) {
	s.para(0, 2, span{p.ID, bold}, text(": "+p.Title))
	for paragraph := range strings.SplitSeq(p.Doc, "\n\n") {
		s.blank()
		s.para(0, 0, text(unmarked(paragraph)))
	}
	s.head("FORMULA")
	s.para(2, 4, text(p.Formula))
	s.head("ON THIS HOST")
	if e.NoFigures != "" {
		s.para(2, 2, text("no figures: "+e.NoFigures))
	} else {
		s.para(2, 4, about(e.Host)...)
		s.onHost(p.OnHost, true)
	}
	s.head("MYTHS")
	for _, m := range p.Myths {
		s.labelled(2, "believed", 12, text(m.Belief))
		s.labelled(2, "true", 12, text(m.Truth))
		s.labelled(2, "source", 12, span{m.Source, dim})
	}
	s.head("KNOBS")
	for _, k := range p.Knobs {
		s.para(2, 4, span{k.Name, bold}, text(valueOf(k)))
		s.knobFacts(k.Facts)
	}
	s.head("SIGNS")
	for _, x := range p.Signs {
		s.para(2, 4, span{signName(x), bold})
		s.sign(4, x)
	}
	s.head("KERNEL SOURCE")
	for _, source := range p.Sources {
		s.para(2, 4, text(source))
	}
}

// knob is a setting, and which limits know it.
func (s *screen) knob(p KnobPage) {
	s.para(0, 2, span{p.Name, bold}, text(valueOf(p)))
	s.knobFacts(p.Facts)
	for _, u := range p.Uses {
		s.para(4, 6, text("limit "), span{u.Limit, bold}, text(" (maxconn explain "+u.Limit+
			")"))
	}
}

// word is a name that is none of a limit, a setting or an errno.
func (s *screen) word(w Word) {
	s.para(0, 2, span{w.Name, bold}, text(prefixed(" = ", w.Value)+" ("+w.Kind+")"))
	s.labelled(2, "means", 12, text(w.Means))
	if len(w.Limits) > 0 {
		s.labelled(2, "read by", 12, text(list(w.Limits)+" (maxconn explain "+w.Limits[0]+
			")"))
	}
}

// named are the ports and addresses of a text that a program could not have.
func (s *screen) named(e Explanation, part func()) {
	for _, a := range e.Addresses {
		part()
		s.para(0, 2, text("here: "+a.words()))
	}
	for _, p := range e.Ports {
		part()
		s.para(0, 2, span{"port " + strconv.Itoa(int(p.Port)), bold}, text(" here"))
		for _, line := range p.lines() {
			s.labelled(2, line.label, 12, text(line.words))
		}
	}
}

// unmarked is Markdown without its marks for code, on one line.
func unmarked(paragraph string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(paragraph, "`", "")), " ")
}

// valueOf is what stands behind a knob's name.
func valueOf(k KnobPage) string {
	switch {
	case k.Known && k.Value == "":
		return " = (empty)"
	case k.Known:
		return " = " + k.Value
	case k.Lacks != "":
		return ": not on this kernel: " + k.Lacks
	case k.Unread != "":
		return ": value not seen: " + k.Unread
	}
	return ""
}

func (s *screen) knobFacts(f Facts) {
	say := func(label, words string) {
		if words != "" {
			s.labelled(4, label, 12, text(words))
		}
	}
	say("does", f.Does)
	say("but", f.Not)
	say("since", prefixed("Linux ", f.Since))
	say("until", prefixed("Linux ", f.Until))
	say("source", f.Source)
}

func prefixed(prefix, words string) string {
	if words == "" {
		return ""
	}
	return prefix + words
}

// signName is a sign as people know it.
func signName(p SignPage) string {
	// The sign for anything is no ASCII, and not every terminal has it.
	name := `"` + strings.ReplaceAll(p.Text, "…", "...") + `"`
	if p.Text == "" {
		name = p.Errno
	}
	var from []string
	if p.Errno != "" && p.Text != "" {
		from = append(from, p.Errno)
	}
	if p.Call != "" {
		from = append(from, "from "+strings.Join(strings.Fields(p.Call), "(), ")+"()")
	}
	if len(from) > 0 {
		name += " (" + strings.Join(from, " ") + ")"
	}
	return name
}

func (s *screen) sign(indent int, p SignPage) {
	s.labelled(indent, "means", indent+10, text(p.Means))
	if p.Look != "" {
		s.labelled(indent, "look at", indent+10, text(p.Look))
	}
}

// matched is a sign that a text showed; again says that its limit has been reported already.
func (s *screen) matched(e Explanation, p SignPage, again bool) {
	s.para(0, 2, span{signName(p), bold})
	if len(p.Quotes) > 0 {
		s.labelled(2, "it names", 12, text(strings.Join(p.Quotes, ", ")))
	}
	s.labelled(2, "limit", 12, text(p.Limit+": "+p.Title))
	s.sign(2, p)
	if again {
		return
	}
	s.labelled(2, "more", 12, text("maxconn explain "+p.Limit))
	if e.NoFigures == "" {
		s.onHost(p.OnHost, false)
	}
}

// otherCause is what an errno means apart from the limits.
func (s *screen) otherCause(c limit.OtherCause) {
	s.para(0, 2, span{signName(otherSign(c)), bold})
	s.labelled(2, "limit", 12, text(otherLimits(c)))
	s.labelled(2, "means", 12, text(c.Means))
	s.labelled(2, "look at", 12, text(c.Look))
	s.labelled(2, "source", 12, text(c.Source))
}

// otherLimits says that it is none, or which it may be.
func otherLimits(c limit.OtherCause) string {
	switch {
	case c.Program != "" && len(c.Limits) > 0:
		return c.Program + "'s own, none of the kernel's; see also " + list(c.Limits)
	case c.Program != "":
		return c.Program + "'s own, none of the kernel's"
	case len(c.Limits) == 0:
		return "none: this is not a limit"
	case !c.Far:
		return "mostly none; perhaps " + list(c.Limits)
	}
	return "mostly none; perhaps " + list(c.Limits) + " of the other end"
}

// otherSign is the errno in the form that the words for signs take.
func otherSign(c limit.OtherCause) SignPage {
	p := SignPage{Errno: c.Errno, Call: c.Call}
	if c.Errno == "" {
		p.Text, p.Call = c.Texts[0], ""
	}
	return p
}

// onHost writes the figures of a limit's busiest subjects, with each step of the formula or
// without.
func (s *screen) onHost(h OnHost, steps bool) {
	switch {
	case h.Unseen != "":
		s.para(2, 4, text("could not be evaluated here: "+h.Unseen))
	case len(h.Subjects) == 0 && h.Port != "":
		s.para(2, 4, text("here: nothing listens on port "+h.Port))
	case len(h.Subjects) == 0:
		s.para(2, 4, text("here: nothing that this limit would count"))
	}
	for _, f := range h.Subjects {
		if steps {
			s.blank()
		}
		found := f.finding()
		s.para(2, 4, text("here: "+subject(found)+": "+use(found)))
		if steps {
			s.steps(f.Steps)
			if f.Cause != "" {
				s.para(4, 6, text(f.Cause))
			}
		}
	}
	if h.More > 0 {
		s.line(2, span{"+ " + count(int64(h.More)) + " more, less full", dim})
	}
}

// steps is the formula with figures: the result of each step on the left, how it came about
// on the right.
func (s *screen) steps(steps []limit.Step) {
	widest := 0
	for _, x := range steps {
		widest = max(widest, wide(marked(x.Value, x.How, false)))
	}
	for _, x := range steps {
		lead := strings.Repeat(" ", widest-wide(marked(x.Value, x.How, false)))
		s.para(4, min(4+widest+1, 20), text(lead+stepFigure(x)+": "+x.Label+origin(x)))
	}
}

// stepFigure is the result of a step with its unit.
func stepFigure(x limit.Step) string {
	return strings.TrimSpace(marked(x.Value, x.How, false) + " " + Clean(x.Unit))
}

// origin is how a step's figure came about.
func origin(x limit.Step) string {
	switch {
	case x.Sum != "":
		return ": " + x.Sum
	case x.From != "":
		return " (" + x.From + ")"
	}
	return ""
}
