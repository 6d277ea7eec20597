package render

import (
	"io"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/lint"
)

// LintJSON writes what lines of files do, in its stable form.
func LintJSON(w io.Writer, r lint.Report) error { return writeJSON(w, r) }

// LintText writes it for a terminal: file by file, line by line. Settings of TCP that do
// not say how many connections there can be share one paragraph, unless the style is
// verbose.
func LintText(w io.Writer, r lint.Report, style Style) error {
	s := newScreen(style)
	s.para(0, 2, span{"lint", bold},
		text(" for "+lintKernel(r)+": "+plural(len(r.Lines)+r.Skipped, "setting")+" in "+
			plural(len(r.Files), "file")))
	for _, c := range r.Cautions {
		s.para(0, 2, span{"caution", yellow}, text(": "+c))
	}
	for _, u := range r.Unread {
		s.para(0, 2, span{"not read", yellow}, text(": "+u.File+": "+u.Why))
	}
	lines := linesByFile(r)
	for _, f := range r.Read {
		s.lintFile(f, lines[f.File])
	}
	s.blank()
	s.lintSummary(r)
	return s.flush(w)
}

// lintKernel is what was judged for.
func lintKernel(r lint.Report) string {
	if r.Kernel == "" {
		return "a kernel that is not known (verdicts are those of Linux 6.18)"
	}
	return "Linux " + r.Kernel
}

func linesByFile(r lint.Report) map[string][]lint.Line {
	lines := map[string][]lint.Line{}
	for _, l := range r.Lines {
		lines[l.File] = append(lines[l.File], l)
	}
	return lines
}

func (s *screen) lintFile(f lint.Reading, lines []lint.Line) {
	s.blank()
	s.line(0, span{f.File, bold})
	width := 1
	for _, l := range lines {
		width = max(width, len(strconv.Itoa(l.Line)))
	}
	var apart []string
	for _, l := range lines {
		if l.Verdict == lint.Unrelated && !s.style.Verbose {
			apart = append(apart, shortKey(l.Key)+" ("+strconv.Itoa(l.Line)+")")
			continue
		}
		s.lintLine(l, width)
	}
	switch {
	case f.NotJudged:
		s.para(2, 2, span{notJudged(f), yellow})
	case len(lines) == 0:
		s.para(2, 2, text("nothing here is about connections"))
	case len(apart) > 0:
		s.para(2, 4, span{"not about how many connections there can be", dim},
			text(": "+strings.Join(apart, ", ")))
	}
	s.refers(f)
}

// notJudged says of a file in which nothing was recognised why that is.
func notJudged(f lint.Reading) string {
	if !f.Supported {
		return "not judged: " + f.Format + " is a format that lint does not read"
	}
	return "no setting recognised: not judged (read as " + f.Format + ")"
}

// LintParsed says what was read from where: the format of each file, its settings, and what it
// refers to.
func LintParsed(w io.Writer, r lint.Report, style Style) error {
	s, lines := newScreen(style), linesByFile(r)
	for _, f := range r.Read {
		s.line(0, span{f.File, bold}, text(": "+plural(f.Settings, "setting")+", read "+
			"as "+f.Format+includedBy(f)))
		if f.NotJudged {
			s.para(2, 2, span{notJudged(f), yellow})
		}
		for _, l := range lines[f.File] {
			s.para(2, 6, text(strconv.Itoa(l.Line)+"  "), span{settingOf(l), bold},
				text("  "+readFrom(l)))
		}
		s.refers(f)
	}
	return s.flush(w)
}

// includedBy says which file made lint read this one.
func includedBy(f lint.Reading) string {
	if f.IncludedBy == "" {
		return ""
	}
	return ", included by " + f.IncludedBy + " line " + strconv.Itoa(f.IncludedAt)
}

// readFrom is how a setting is written, into which file, and where it acts.
func readFrom(l lint.Line) string {
	from := l.Form
	if l.Into != "" {
		from += " into " + l.Into
	}
	if l.Scope != "" {
		from += ", " + string(l.Scope)
	}
	return from
}

// refers is what a file refers to and lint did not read.
func (s *screen) refers(f lint.Reading) {
	for _, u := range f.Refers {
		s.para(2, 4, span{"not read", yellow},
			text(": line "+strconv.Itoa(u.Line)+": "+u.What))
	}
}

// shortKey leaves the directory out.
func shortKey(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// longestSetting is how much of a line is said back.
const longestSetting = 160

// settingOf is what the line sets, cut where it is very long.
func settingOf(l lint.Line) string {
	what := l.Key
	if l.Value != "" {
		what += " = " + strings.ReplaceAll(l.Value, "\t", " ")
	}
	n := 0
	for i := range what {
		if n++; n > longestSetting {
			return what[:i] + "..."
		}
	}
	return what
}

// widestVerdict is the width of the longest one.
const widestVerdict = len(lint.BelowDefault)

func (s *screen) lintLine(l lint.Line, width int) {
	number := strconv.Itoa(l.Line)
	verdict := string(l.Verdict) + strings.Repeat(" ", max(0, widestVerdict-len(l.Verdict)))
	head := strings.Repeat(" ", width-len(number)) + number
	what := settingOf(l)
	if l.Scope != "" {
		what += " (" + string(l.Scope) + ")"
	}
	spans := []span{{head, dim}, text("  "), {verdict, lintPaint(l.Verdict)}, text("  "),
		{what, bold}}
	if l.Running != "" {
		spans = append(spans, span{"  (now " + l.Running + ")", dim})
	}
	s.para(2, 6, spans...)
	indent := 2 + width + 2
	s.para(indent, indent, text(l.Why))
	for _, n := range l.Notes {
		if n.Verdict.Fault() || s.style.Verbose {
			s.para(indent, indent,
				span{"also " + string(n.Verdict), lintPaint(n.Verdict)},
				text(": "+n.Why))
		}
	}
	if l.Source != "" {
		s.para(indent, indent+2, span{l.Source, dim})
	}
}

// lintPaint is for those who see colours; the words say it too.
func lintPaint(v lint.Verdict) paint {
	switch v {
	case lint.Gone, lint.UnknownKey, lint.OutOfBounds, lint.Harmful:
		return red
	case lint.Effective:
		return green
	case lint.Unrelated:
		return dim
	}
	return yellow
}

// lintSummary counts the verdicts, the gravest first.
func (s *screen) lintSummary(r lint.Report) {
	var faults, rest []string
	for _, v := range lint.Verdicts {
		n := r.Count(v)
		switch {
		case n == 0:
		case v.Fault():
			faults = append(faults, count(int64(n))+" "+string(v))
		default:
			rest = append(rest, count(int64(n))+" "+string(v))
		}
	}
	if r.Passed > 0 {
		rest = append(rest, plural(r.Passed, "file")+" without a setting that was "+
			"recognised")
	}
	if n := len(r.NotJudged()); n > 0 {
		rest = append(rest, plural(n, "file")+" not judged")
	}
	end := text(after(rest) + passedOver(r) + unread(r))
	switch {
	case len(faults) > 0:
		end.text = ": " + strings.Join(faults, ", ") + end.text
		s.para(0, 2, span{plural(r.Faults(), "fault"), red}, end)
	case len(r.Read)+r.Passed > 0 && len(r.NotJudged()) == len(r.Read):
		s.para(0, 2, span{"not judged", yellow}, end)
	case !r.Whole():
		s.para(0, 2, span{"no fault in what could be read", yellow}, end)
	default:
		s.para(0, 2, span{"clean", green}, end)
	}
}

func after(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "; " + strings.Join(words, ", ")
}

func unread(r lint.Report) string {
	if len(r.Unread) == 0 {
		return ""
	}
	return "; " + plural(len(r.Unread), "file") + " not read"
}

func passedOver(r lint.Report) string {
	if r.Skipped == 0 {
		return ""
	}
	return "; " + count(int64(r.Skipped)) +
		" skipped that have nothing to do with connections (--all shows them)"
}
