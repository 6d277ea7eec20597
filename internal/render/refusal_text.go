package render

import (
	"fmt"
	"io"
	"strconv"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/refusal"
)

// RefusalJSON writes a line of a trace as one line of JSON.
func RefusalJSON(w io.Writer, l refusal.Line) error { return jsonLine(w, l) }

// RefusalsJSON writes the sum of a trace as one line of JSON.
func RefusalsJSON(w io.Writer, s refusal.Sum) error {
	if s.Refused == nil {
		s.Refused = []refusal.Moved{}
	}
	if s.Missing == nil {
		s.Missing = []string{}
	}
	return jsonLine(w, s)
}

func jsonLine(w io.Writer, v any) error {
	text, err := encode.JSONLine(v)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// RefusalText writes a line of a trace for a terminal.
func RefusalText(w io.Writer, l refusal.Line, style Style) error {
	s := newScreen(style)
	spans := []span{{clockTime(l.Time) + " ", dim}, {refusalHead(l), refusalPaint(l)}}
	if l.Count != 1 {
		spans = append(spans, span{" " + count(l.Count) + "x", bold})
	}
	spans = append(spans, text(" "+refusalWho(l)), text(refusalPlace(l)))
	if l.Limit != "" {
		spans = append(spans, span{" (" + l.Limit + ")", dim})
	}
	s.para(0, 4, spans...)
	return s.flush(w)
}

func refusalPaint(l refusal.Line) paint {
	if l.What.Consequence() {
		return yellow
	}
	return red
}

// clockTime is the time of day of a time of RFC 3339.
func clockTime(t string) string {
	const date, seconds = len("2006-01-02T"), len("2006-01-02T15:04:05")
	if len(t) < seconds {
		return t
	}
	return t[date:seconds]
}

func refusalHead(l refusal.Line) string {
	if l.Errno != "" && l.What != refusal.NoPort && l.What != refusal.NoFile {
		return l.Errno + ", " + string(l.What)
	}
	if l.Errno != "" {
		return l.Errno
	}
	return string(l.What)
}

// refusalWho is "nginx (pid 12, nginx.service)".
func refusalWho(l refusal.Line) string {
	switch {
	case l.PID == 0 && l.Process == "" && l.What == refusal.Dropped:
		return ""
	case l.PID == 0 && l.Process == "":
		return "a process that is not known"
	}
	who := l.Process
	if l.PID != 0 {
		who += " (pid " + strconv.FormatInt(l.PID, 10)
		if l.Unit != "" {
			who += ", " + l.Unit
		}
		who += ")"
	}
	return who
}

func refusalPlace(l refusal.Line) (words string) {
	switch {
	case l.Listener != "":
		words = ": listener " + l.Listener
		if l.What == refusal.QueueFull {
			words += fmt.Sprintf(", %d in a queue for %d", l.Queue, l.Backlog+1)
		}
		if l.SeenBy == refusal.Counter {
			words += ", at the SYN"
		}
		if l.Client != "" {
			words += ", last client " + l.Client
		}
	case l.Destination != "":
		words = ": to " + l.Destination
		if l.Source != "" {
			words = ": from " + l.Source + " to " + l.Destination
		}
		if l.What == refusal.NoPort {
			words += ", no port of the range is free"
		}
	}
	if l.Reason != "" && l.What == refusal.Dropped {
		words += ", " + l.Reason
	}
	return words
}

// RefusalsText writes the sum of a trace for a terminal.
func RefusalsText(w io.Writer, sum refusal.Sum, style Style) error {
	s := newScreen(style)
	head := "nothing was refused"
	if sum.Refusing() {
		head = "refused"
	}
	s.para(0, 2, span{head, bold}, text(fmt.Sprintf(" in %.1f s", sum.Seconds)))
	for _, m := range sum.Refused {
		s.para(2, 4, span{orNone(m.Limit), bold}, text(": "+refusedWords(m)))
	}
	if sum.Lost > 0 {
		s.para(2, 4, span{"lost", yellow}, text(": "+
			plural(int(sum.Lost), "event")+" for which there was no room"))
	}
	if sum.LeftOut > 0 {
		s.para(2, 4, span{"not shown", yellow}, text(": "+count(sum.LeftOut)+
			" refusals in lines that were too many at one time"))
	}
	for _, why := range sum.Missing {
		s.para(2, 4, span{"not seen", yellow}, text(": "+why))
	}
	return s.flush(w)
}

func orNone(limit string) string {
	if limit == "" {
		return "no limit of this host"
	}
	return limit
}

// refusedWords reconciles events with the kernel's counter.
func refusedWords(m refusal.Moved) string {
	where := ""
	if m.NetNS != "" {
		where = " in " + m.NetNS
	}
	if m.Counter == "" {
		words := count(m.Attributed) + " by events" + where
		if m.AtListener > 0 {
			words += ", " + count(m.AtListener) + " by counters of listeners"
		}
		return words + "; the kernel has no counter"
	}
	words := count(m.Moved) + " by " + m.Counter + where + ", " + count(m.Attributed) +
		" of them by events"
	if m.AtListener > 0 {
		words += ", " + count(m.AtListener) +
			" by counters of listeners: at the SYN, where the kernel has no event"
	}
	if left := m.Moved - m.Attributed - m.AtListener; left > 0 {
		words += ", " + count(left) + " by nobody known"
	}
	return words
}
