package coalesce

import (
	"fmt"
	"testing"
)

// model is an explicit-state model of one connection: what the Conn knows, and
// where the goroutines of the program stand. Sizes do not matter to the rule, so
// pending bytes are 0 (none), 1 (some) or 2 (a full buffer).
type model struct {
	pending int
	flusher int  // no goroutine, looking, writing
	reader  bool // the flusher is a Read that gives way
	writer  int  // nobody, or a caller writing
	lazy    bool // held
	driven  bool // ReadDriven
	swept   bool
	eager   bool
	wanted  bool // the socket was full
	waiting bool // a Flush or a blocked writer
}

const (
	gone = iota
	looking
	writingNow
)

func (m model) facts(aged bool) facts {
	return facts{
		pending: m.pending > 0, full: m.pending == 2, aged: aged,
		writing:   m.writer == writingNow || m.flusher == writingNow,
		scheduled: m.flusher != gone,
		lazy:      m.lazy || m.driven, backstop: m.driven && !m.lazy, eager: m.eager,
		wanted: m.wanted || m.waiting,
	}
}

// steps are all states that one event leads to.
func (m model) steps() (next []model, names []string) {
	add := func(n model, name string) { next, names = append(next, n), append(names, name) }
	for _, to := range []int{1, 2} {
		for _, aged := range []bool{false, true} {
			if to >= m.pending {
				add(m.append(to, aged),
					fmt.Sprintf("append to %d, aged %v", to, aged))
			}
		}
	}
	if !m.waiting && m.pending > 0 {
		n := m
		n.waiting = true
		add(n.dispatch(), "wait (Flush, full, Close)")
	}
	add(m.hold(true), "Hold")
	add(m.hold(false), "Release")
	if m.swept && m.pending == 0 {
		n := m
		n.swept = false
		add(n, "the sweeper forgets")
	}
	if m.swept && m.pending > 0 && !m.lazy {
		n := m
		n.wanted = true
		add(n.dispatch(), "the sweeper finds old bytes")
	}
	if m.flusher == looking {
		add(m.look(), "flusher looks")
	}
	for _, left := range []int{0, 1} { // the socket took all, or was full
		if m.writer == writingNow {
			n := m
			n.writer = gone
			add(n.wrote(left, true), fmt.Sprintf("caller wrote, %d left", left))
		}
	}
	if m.flusher == writingNow {
		n := m
		n.flusher = looking
		add(n.wrote(0, false), "flusher wrote")
	}
	if m.flusher == writingNow && m.reader { // its attempts do not wait for the peer
		n := m
		n.flusher, n.reader = gone, false
		add(n.wrote(1, true), "reader wrote, 1 left")
	}
	if m.flusher == looking && m.reader {
		n := m
		n.flusher, n.reader = gone, false
		add(n.dispatch(), "reader goes back to reading")
	}
	if m.flusher == gone && m.writer == gone && m.pending == 0 && !m.lazy && !m.driven &&
		!m.eager {
		n := m
		n.flusher, n.reader = looking, true
		add(n, "Read gives way")
	}
	if m.pending > 0 && m.writer == gone && m.flusher != writingNow {
		add(m.takeBytes(false), "a caller takes (Read, Flush, Release)")
	}
	return next, names
}

func (m model) append(to int, aged bool) model {
	m.pending = to
	switch m.facts(aged).afterAppend() {
	case start:
		m.flusher = looking
	case take:
		m = m.takeBytes(false)
	case sweep:
		m.swept = true
	}
	return m
}

func (m model) takeBytes(flusher bool) model {
	m.pending = max(0, m.pending-1)
	if flusher {
		m.flusher = writingNow
	} else {
		m.writer = writingNow
	}
	return m
}

func (m model) look() model {
	if m.facts(false).flusherLooks() == end {
		m.flusher, m.reader = gone, false
		return m.dispatch()
	}
	return m.takeBytes(true)
}

func (m model) wrote(left int, caller bool) model {
	m.wanted = left > 0 && caller
	m.pending = max(m.pending, left)
	if m.pending == 0 {
		m.waiting = false
	}
	return m.dispatch()
}

func (m model) dispatch() model {
	switch m.facts(false).afterWrite() {
	case start:
		m.flusher = looking
	case sweep:
		m.swept = true
	}
	return m
}

func (m model) hold(on bool) model {
	m.lazy = on
	if !on && m.pending > 0 && m.writer == gone && m.flusher != writingNow {
		return m.takeBytes(false)
	}
	return m
}

// starts are the kinds of connection: Auto, ReadDriven, Manual, Immediate.
var starts = []model{{}, {driven: true}, {lazy: true}, {eager: true}}

// explore visits all states that can be reached.
func explore(t *testing.T, from model, visit func(m model)) map[model]bool {
	t.Helper()
	seen, todo := map[model]bool{from: true}, []model{from}
	for len(todo) > 0 {
		m := todo[0]
		todo = todo[1:]
		visit(m)
		next, _ := m.steps()
		for _, n := range next {
			if !seen[n] {
				seen[n] = true
				todo = append(todo, n)
			}
		}
	}
	return seen
}

// Bytes that are due always have someone who sends them, in every state that
// any order of events leads to.
func TestModelNeverStrandsBytes(t *testing.T) {
	total := 0
	for _, from := range starts {
		seen := explore(t, from, func(m model) {
			f := m.facts(false)
			if f.due() && !f.writing && !f.scheduled {
				t.Errorf("stranded: %+v", m)
			}
			if f.pending && f.backstop && !f.writing && !f.scheduled && !m.swept {
				t.Errorf("left behind: %+v", m)
			}
			if m.waiting && m.pending > 0 && !f.writing && !f.scheduled {
				t.Errorf("waits forever: %+v", m)
			}
		})
		total += len(seen)
	}
	t.Logf("%d states", total)
}

// From every state, the goroutines that exist bring all due bytes to the
// kernel by themselves: no event from outside is needed, and they end.
func TestModelRunsDry(t *testing.T) {
	for _, from := range starts {
		explore(t, from, func(m model) {
			for range 20 {
				switch {
				case m.writer == writingNow:
					m.writer = gone
					m = m.wrote(0, true)
				case m.flusher == writingNow:
					m.flusher = looking
					m = m.wrote(0, false)
				case m.flusher == looking:
					m = m.look()
				}
			}
			if m.writer != gone || m.flusher != gone || m.facts(false).due() {
				t.Errorf("does not end: %+v", m)
			}
		})
	}
}

// At no time do two write.
func TestModelOneWriter(t *testing.T) {
	for _, from := range starts {
		explore(t, from, func(m model) {
			if m.writer == writingNow && m.flusher == writingNow {
				t.Errorf("two writers: %+v", m)
			}
		})
	}
}
