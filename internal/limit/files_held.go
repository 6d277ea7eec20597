package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
)

// holder is whose table is the fullest.
func (t fileTable) holder() string {
	if t.tables > 1 {
		return "a thread of " + who(t.name, t.pid) + ", whose threads have " +
			figure.Count(t.tables) + " tables of descriptors with " +
			figure.Count(t.files) + " in all,"
	}
	return who(t.name, t.pid)
}

// limits is the limit of all tables.
func (t fileTable) limits() string {
	if t.tables > 1 {
		return itoa(t.soft) + " * " + itoa(t.tables)
	}
	return itoa(t.soft)
}

func (t fileTable) about() string {
	if t.estimated {
		return "about "
	}
	return ""
}

// heldBy are what descriptors may be that are no connections: the fields of the row, and words.
var heldBy = []struct{ field, words string }{
	{"unconnected", "TCP sockets that are neither connected nor listening: the program does " +
		"not close sockets whose connect() failed, or that it never used"},
	{"held_sockets", "sockets of another kind (UDP, Unix) or not connected"},
	{"held_eventfds", "eventfds"},
	{"held_pipes", "pipes"},
	{"held_files", "open files"},
	{"held_others", "something else (epoll, timers, ...)"},
}

// loose says whether most descriptors are TCP sockets without any use.
func (t fileTable) loose() bool { return t.row.Count("unconnected")*2 > t.files }

// holders says what most of the other descriptors are, or "".
func (t fileTable) holders() string {
	for _, h := range heldBy {
		if n := t.row.Count(h.field); n*2 >= t.other() && n > 0 && n <= t.files {
			about := t.about()
			if h.field == "unconnected" {
				about = "about " // always by a sample
			}
			return "; " + about + figure.Count(n) + " are " + h.words
		}
	}
	return ""
}
