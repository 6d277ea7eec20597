package render

import (
	"cmp"
	"io"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// ExplanationMarkdown writes an explanation as a document.
func ExplanationMarkdown(w io.Writer, e Explanation) error {
	m := &markdown{}
	for _, p := range e.Limits {
		m.heading(2, prose(p.ID))
		m.limitPage(p)
		if e.NoFigures != "" {
			m.paragraph("No figures of this host: " + prose(e.NoFigures))
		} else {
			m.heading(3, "On this host")
			m.paragraph(proseSpans(about(e.Host)))
			m.onHost(p.OnHost)
		}
	}
	for _, p := range e.Signs {
		m.heading(2, prose(signName(p)))
		lines := []md{"limit: " + code(p.Limit) + ", " + prose(p.Title),
			"means: " + prose(p.Means)}
		if p.Look != "" {
			lines = append(lines, "look at: "+code(p.Look))
		}
		if len(p.Quotes) > 0 {
			lines = append(lines, "here: "+code(strings.Join(p.Quotes, ", ")))
		}
		m.items(lines...)
		if e.NoFigures == "" {
			m.onHost(p.OnHost)
		}
	}
	for _, c := range e.OtherCauses {
		m.heading(2, prose(signName(otherSign(c))))
		m.items("limit: "+prose(otherLimits(c)), "means: "+prose(c.Means),
			"look at: "+code(c.Look), "source: "+code(c.Source))
	}
	m.named(e)
	return m.flush(w)
}

// named are the ports, addresses, settings and other names that were asked for or stand in a text.
func (m *markdown) named(e Explanation) {
	for _, a := range e.Addresses {
		m.paragraph(prose(a.words()))
	}
	for _, p := range e.Ports {
		m.heading(2, "port "+prose(strconv.Itoa(int(p.Port))))
		var lines []md
		for _, x := range p.lines() {
			lines = append(lines, prose(strings.TrimPrefix(x.label+": "+x.words, ": ")))
		}
		m.items(lines...)
	}
	for _, p := range e.Knobs {
		m.heading(2, code(p.Name)+prose(valueOf(p)))
		m.knobTable([]KnobPage{p}, true)
	}
	for _, x := range e.Words {
		m.heading(2, code(x.Name)+prose(prefixed(" = ", x.Value)))
		m.items(prose(x.Kind+": "+x.Means), "read by: "+prose(cmp.Or(list(x.Limits),
			"no limit")))
	}
}

// limitPage is what the catalogue says; Doc is Markdown already.
func (m *markdown) limitPage(p LimitPage) {
	m.paragraph("**" + prose(p.Title) + "**. Counts " + prose(measured(p.Measure)) +
		", for each " + prose(string(p.Scope)) + ".")
	m.paragraph(md(p.Doc))
	m.paragraph(code(p.Formula))
	var rows [][]md
	for _, x := range p.Myths {
		rows = append(rows, []md{prose(x.Belief), prose(x.Truth), code(x.Source)})
	}
	m.tableIfAny([]md{"believed", "true", "source"}, rows)
	m.knobTable(p.Knobs, false)
	rows = nil
	for _, x := range p.Signs {
		rows = append(rows, []md{prose(signName(x)), prose(x.Means), code(x.Look)})
	}
	m.tableIfAny([]md{"sign", "means", "look at"}, rows)
	var sources []md
	for _, s := range p.Sources {
		sources = append(sources, code(s))
	}
	if len(sources) > 0 {
		m.paragraph("Kernel source:")
	}
	m.items(sources...)
}

func (m *markdown) tableIfAny(heads []md, rows [][]md) {
	if len(rows) > 0 {
		m.table(heads, rows)
	}
}

func (m *markdown) knobTable(pages []KnobPage, named bool) {
	heads, rows := []md{"knob", "does", "but", "kernels", "source"}, [][]md(nil)
	if named {
		heads[0] = "limits"
	}
	for _, p := range pages {
		first := code(p.Name)
		if named {
			first = limitsOf(p)
		}
		rows = append(rows,
			[]md{first, prose(p.Does), prose(p.Not), prose(kernels(p.Facts)),
				code(p.Source)})
	}
	m.tableIfAny(heads, rows)
}

// limitsOf are the limits that know a knob.
func limitsOf(p KnobPage) (ids md) {
	for i, u := range p.Uses {
		if i > 0 {
			ids += ", "
		}
		ids += code(u.Limit)
	}
	return cmp.Or(ids, "none")
}

// kernels is which versions have a knob.
func kernels(f Facts) string {
	switch {
	case f.Since != "" && f.Until != "":
		return f.Since + " to before " + f.Until
	case f.Since != "":
		return "since " + f.Since
	case f.Until != "":
		return "before " + f.Until
	}
	return "all"
}

func (m *markdown) onHost(h OnHost) {
	if h.Unseen != "" {
		m.paragraph("Could not be evaluated here: " + prose(h.Unseen))
	}
	for _, f := range h.Subjects {
		found := f.finding()
		m.paragraph(code(subject(found)) + ": " + prose(use(found)))
		var lines []md
		for _, s := range f.Steps {
			lines = append(lines, code(stepFigure(s))+" "+prose(s.Label+origin(s)))
		}
		m.items(lines...)
	}
}

// finding is the figures in the form that the words for findings take.
func (f Figures) finding() diagnose.Finding {
	return diagnose.Finding{
		Subject: f.Subject, Process: f.Process, PID: f.PID, Measure: f.Measure,
		Unit: f.Unit, Ceiling: f.Ceiling,
		Unbounded: f.Unbounded, AtMost: f.AtMost, CeilingHow: f.CeilingHow, Used: f.Used,
	}
}
