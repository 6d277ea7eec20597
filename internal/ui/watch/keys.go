package watch

import (
	"unicode"
	"unicode/utf8"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/render"
)

// help is what the key ? shows.
const help = `KEYS
  up, down, k, j    select a row; page keys, home and end go further
  enter, e          explain the limit of the row, with this host's figures
  p                 plan: what would lift it
  n                 the next network namespace
  /                 show only rows whose limit, subject or process has a text
  space             stand still, and go on (a recording waits meanwhile)
  w                 write the snapshot to a file, for maxconn check --from
  +, -              play a recording faster, slower
  q, ctrl-c         leave (q and esc leave a text like this one first)

COLUMNS
  !!                the row refuses connections: what check calls CRITICAL
  !                 it is near its ceiling, or does harm: WARNING
  NOW, CEILING, %   N read from the kernel, =N computed, <=N at most that
  60 S              use in the last minute, as a share of the ceiling
  REFUSED           since the survey before, as the kernel counts: packets
                    that come again count again; - where it counts nothing
  BINDS IN          when the ceiling is reached if the last 20 s go on; shown
                    from half of the ceiling on

EVENTS
  what began and ended, settings that changed, network namespaces that came
  and went; all times are UTC
`

// Key does what a key asks for. Keys have the names that bubbletea gives them.
func (m *Model) Key(key string) (w Work, quit bool) {
	m.says = ""
	switch {
	case key == "ctrl+c":
		return nil, true
	case m.typing:
		m.typed(key)
		return nil, false
	case m.pane != nil:
		m.scroll(key)
		return nil, false
	}
	switch key {
	case "q":
		return nil, true
	case "esc":
		m.filter = ""
	case "?":
		m.pane = &pane{title: "maxconn watch", text: func(s render.Style) string {
			return render.Fold(help, s.Width, 18)
		}}
	case "/":
		m.typing, m.filter = true, ""
	case "n":
		if n := len(m.now.View.Spaces); n > 0 {
			m.space, m.row = m.now.View.Spaces[(m.at()+1)%n].Key, ""
		}
	case "space":
		m.freeze()
	case "+", "-":
		m.speed(key)
	case "enter", "e", "p", "w":
		return m.work(key), false
	default:
		m.move(key)
	}
	return nil, false
}

func (m *Model) freeze() {
	m.frozen = !m.frozen
	if !m.frozen {
		m.now = m.later
	}
	if m.Hooks.Freeze != nil {
		m.Hooks.Freeze(m.frozen)
	}
}

func (m *Model) speed(key string) {
	switch {
	case m.Hooks.Speed == nil:
		m.says = "only a recording has a speed"
	case key == "+":
		m.Hooks.Speed(2)
	default:
		m.Hooks.Speed(0.5)
	}
}

// typed takes a key into the filter.
func (m *Model) typed(key string) {
	switch r, size := utf8.DecodeRuneInString(key); {
	case key == "enter":
		m.typing = false
	case key == "esc":
		m.typing, m.filter = false, ""
	case key == "backspace":
		_, last := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-last]
	case key == "space":
		m.filter += " "
	case size == len(key) && unicode.IsPrint(r) && len(m.filter) < 64:
		m.filter += key
	}
}

// steps are how far keys go, in lines or pages.
var steps = map[string]struct{ lines, pages int }{
	"up": {-1, 0}, "k": {-1, 0}, "down": {1, 0}, "j": {1, 0},
	"pgup": {0, -1}, "pgdown": {0, 1},
	"home": {-1 << 30, 0}, "g": {-1 << 30, 0}, "end": {1 << 30, 0}, "G": {1 << 30, 0},
}

func (m *Model) scroll(key string) {
	switch key {
	case "q", "esc", "enter", "?":
		m.pane = nil
		return
	case "space":
		key = "pgdown"
	}
	s := steps[key]
	m.pane.from = max(0, m.pane.from+s.lines+s.pages*max(1, m.Height-3))
}

// move selects another row.
func (m *Model) move(key string) {
	rows, s := m.rows(), steps[key]
	if len(rows) == 0 {
		return
	}
	to := m.selected(rows) + s.lines + s.pages*max(1, m.Height/2)
	m.row = rowKey(rows[max(0, min(to, len(rows)-1))])
}

// work is what a key starts.
func (m *Model) work(key string) Work {
	space, _ := m.shown()
	snapshot := m.now.Snapshots[space.Key]
	if key == "w" {
		return m.write(space, snapshot)
	}
	rows := m.rows()
	if len(rows) == 0 {
		m.says = "no row is selected"
		return nil
	}
	r, hooks := rows[m.selected(rows)], m.Hooks
	m.says = map[bool]string{true: "planning", false: "looking it up"}[key == "p"]
	return func() func(*Model) {
		p, says := &pane{}, ""
		if key == "p" {
			var err error
			if p, err = planned(r, snapshot, hooks); err != nil {
				p, says = nil, "no plan: "+err.Error()
			}
		} else {
			p, _ = explained(r, space, snapshot)
		}
		return func(m *Model) { m.pane, m.says = p, says }
	}
}

func (m *Model) write(space live.Space, snapshot host.Snapshot) Work {
	if snapshot.Len() == 0 || m.Hooks.Write == nil {
		m.says = "there is no snapshot to write"
		return nil
	}
	return func() func(*Model) {
		name, err := m.Hooks.Write(snapshot, space.At)
		says := "wrote " + name + " (maxconn check --from " + name + ")"
		if err != nil {
			says = "not written: " + err.Error()
		}
		return func(m *Model) { m.says = says }
	}
}
