package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/tools/txtar"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/live"
)

var update = flag.Bool("update", false, "accept the frames as they are")

// fault is a recorded fault: a server that does not accept for half a minute, and a proxy that runs
// out of ports.
const fault = "testdata/fault.film"

// faultText is the recording, and faultPlayed what is shown of it.
var (
	faultText = sync.OnceValue(func() []byte {
		text, err := os.ReadFile(fault)
		if err != nil {
			panic(err)
		}
		return text
	})
	faultPlayed = sync.OnceValue(func() (all []Now) {
		err := NewPlayer(ReadRecording(faultText()), 0).Play(context.Background(),
			func(n Now) { all = append(all, n) })
		if err != nil {
			panic(err)
		}
		return all
	})
)

// played is the recorded fault up to a number of seconds after its begin, on a screen.
func played(seconds float64, width, height int) *Model {
	m := &Model{Width: width, Height: height}
	for _, n := range faultPlayed() {
		if n.View.At.Sub(faultPlayed()[0].View.At).Seconds() <= seconds {
			m.See(n)
		}
	}
	return m
}

// press presses keys, one after the other, and does what they start.
func press(m *Model, keys ...string) (quit bool) {
	for _, k := range keys {
		work, q := m.Key(k)
		if work != nil {
			work()(m)
		}
		quit = quit || q
	}
	return quit
}

// frames are keys that are pressed on the recorded fault, so many seconds after its begin.
var frames = []struct {
	name    string
	seconds float64
	keys    []string
}{
	{"before the fault", 4, nil},
	{"the fault", 40, nil},
	{"its end", 1000, nil},
	{"the second row is explained", 40, []string{"down", "enter"}},
	{"its plan", 40, []string{"down", "p"}},
	{"a filter", 40, []string{"/", "p", "o", "r", "t"}},
	{"help", 40, []string{"?"}},
	{"frozen", 40, []string{"space"}},
}

// Golden frames, at three sizes. No line is wider than the screen, and there are as many as it has.
func TestFrames(t *testing.T) {
	for _, size := range []struct{ width, height int }{{80, 24}, {200, 60}, {40, 12}} {
		name := fmt.Sprintf("testdata/%dx%d.txtar", size.width, size.height)
		var got txtar.Archive
		for _, f := range frames {
			m := played(f.seconds, size.width, size.height)
			press(m, f.keys...)
			text := m.Frame()
			fits(t, text, size.width, size.height)
			got.Files = append(got.Files, txtar.File{Name: f.name,
				Data: []byte(text + "\n")})
		}
		text := txtar.Format(&got)
		if *update {
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(text) {
			t.Errorf("%s is other than what is drawn; -update accepts it:\n%s", name,
				text)
		}
	}
}

func fits(t *testing.T, text string, width, height int) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) != height {
		t.Errorf("%d lines on a screen of %d:\n%s", len(lines), height, text)
	}
	for _, line := range lines {
		if n := ansi.StringWidth(line); n > max(width, 40) {
			t.Errorf("%d columns on a screen of %d: %s", n, width, line)
		}
	}
}

// Colour tells nothing that the words do not: without its sequences the frame is the same.
func TestColourIsNotNeeded(t *testing.T) {
	m := played(40, 80, 24)
	without := m.Frame()
	m.Color = true
	with := m.Frame()
	if with == without || ansi.Strip(with) != without {
		t.Errorf("with colour:\n%q\nwithout:\n%q", with, without)
	}
}

// A screen of any size, also one without room, is drawn, and every key may be pressed on it.
func TestAnySizeAnyKey(t *testing.T) {
	keys := []string{"up", "down", "j", "k", "pgup", "pgdown", "home", "end", "g", "G", "enter",
		"e", "p", "n", "/", "x", "backspace", "backspace", "enter", "esc", "space", "w",
		"+", "-", "?", "f1", "tab", "é", ""}
	for width := 1; width < 130; width += 7 {
		for _, height := range []int{1, 2, 5, 11, 16, 40} {
			m := played(40, width, height)
			fits(t, m.Frame(), width, height)
			for _, key := range keys {
				if press(m, key) {
					t.Errorf("%q leaves", key)
				}
				fits(t, m.Frame(), width, height)
			}
		}
		if testing.Short() {
			width += 30
		}
	}
}

// q leaves a text first, and ctrl-c leaves at once.
func TestLeaving(t *testing.T) {
	m := played(40, 80, 24)
	if press(m, "?", "q") {
		t.Error("q leaves a text and the screen at once")
	}
	if !press(m, "q") || !press(m, "/", "ctrl+c") || !press(m, "?", "ctrl+c") {
		t.Error("q or ctrl-c does not leave")
	}
}

// A screen that stands still shows what it showed, and explains that; then it shows the last.
func TestFreeze(t *testing.T) {
	m := played(4, 80, 24)
	var told []bool
	m.Hooks.Freeze = func(frozen bool) { told = append(told, frozen) }
	press(m, "space")
	before := m.Frame()
	m.See(played(1000, 80, 24).now)
	if m.Frame() != before || !strings.Contains(before, "FROZEN") {
		t.Errorf("it does not stand still:\n%s", m.Frame())
	}
	press(m, "space")
	if m.Frame() == before || fmt.Sprint(told) != "[true false]" {
		t.Errorf("it does not go on (%v):\n%s", told, m.Frame())
	}
}

// The selected row stays selected where others come before it.
func TestSelectionFollowsTheRow(t *testing.T) {
	m := played(4, 80, 24)
	press(m, "end")
	before := m.rows()[m.selected(m.rows())]
	m.See(played(40, 80, 24).now)
	if after := m.rows()[m.selected(m.rows())]; rowKey(after) != rowKey(before) {
		t.Errorf("%v was selected, now %v", before, after)
	}
}

// w writes what check --from judges as the screen does.
func TestWrite(t *testing.T) {
	m := played(40, 80, 24)
	var text []byte
	m.Hooks.Write = func(s host.Snapshot, _ time.Time) (string, error) {
		text = s.Text()
		return "box.txt", nil
	}
	press(m, "w")
	s, err := host.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	shown, _ := m.shown()
	if r := diagnose.Check(s, diagnose.Options{}); r.Verdict != shown.Report.Verdict ||
		!strings.Contains(m.Frame(), "wrote box.txt") {
		t.Errorf("the file says %s, the screen %s:\n%s", r.Verdict, shown.Report.Verdict,
			m.Frame())
	}
	m.Hooks.Write = func(host.Snapshot, time.Time) (string, error) {
		return "", syscall.ENOSPC
	}
	if press(m, "w"); !strings.Contains(m.Frame(), "not written: no space left on device") {
		t.Error(m.Frame())
	}
}

// file is an Output that takes so many bytes; then it takes half a line.
type file struct {
	bytes.Buffer
	room int
}

func (f *file) Write(p []byte) (int, error) {
	if f.Len()+len(p) > f.room {
		n, _ := f.Buffer.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.Buffer.Write(p)
}

func (f *file) Truncate(n int64) error { f.Buffer.Truncate(int(n)); return nil }

// again records what a recording plays.
func again(t testing.TB, out Output, most int64) *Recorder {
	t.Helper()
	r, in := NewRecorder(out, most), ReadRecording(faultText())
	for {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Enter(s.At, live.Survey{Key: s.Key, Name: s.Name, Own: s.Own,
			Snapshot: s.Snapshot})
	}
}

// What is recorded is played as it was, byte for byte.
func TestRecordingIsWhole(t *testing.T) {
	var out file
	out.room = 1 << 30
	if _, err := again(t, &out, LargestRecording).Written(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), faultText()) {
		t.Error("the copy of a recording is another one")
	}
}

// A full disk, and a recording that is as long as it may be: it ends with a whole survey, says so,
// and is played up to there.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		room int
		most int64
		want string
	}{{100_000, 1 << 30, "no space left on device"}, {1 << 30, 1 << 17, "it is full"}} {
		out := file{room: c.room}
		r := again(t, &out, c.most)
		lines, err := r.Written()
		if err == nil || !strings.Contains(err.Error(), c.want) || lines < 2 {
			t.Errorf("%d lines, then %v, want %s", lines, err, c.want)
		}
		k := Keeper{Recorder: r, File: "x"}
		if says := strings.Join(k.says(), ""); !strings.Contains(says, "NOT RECORDED") {
			t.Errorf("it says %q", says)
		}
		in := ReadRecording(out.Bytes())
		for n := range lines {
			if _, err := in.Next(); err != nil {
				t.Fatalf("line %d of %d: %v", n, lines, err)
			}
		}
		if _, err := in.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the last line: %v", err)
		}
	}
}

// What is no recording is said to be none; the rest of one that was cut off is played.
func TestBadRecordings(t *testing.T) {
	first, _, _ := bytes.Cut(faultText(), []byte("\n"))
	for text, want := range map[string]string{
		"":                       "line 1: it is empty",
		"\n":                     "line 1: it is empty",
		"hello\n":                "line 1: it is no recording",
		"maxconn.snapshot/1\n":   "line 1: it is no recording",
		`{"schema":"x"}` + "\n":  "line 1: it is no recording",
		"[]\n":                   "line 1: it is no recording",
		string(first) + "\nx\n":  "line 2: it is no recording",
		string(first) + "\nx":    "", // cut off
		string(first):            "", // the same
		string(first) + "\n\n\n": "",
		`{"schema":"maxconn.recording/1","set":["a b"]}` + "\n": "is not \"kind name",
	} {
		m := &Model{}
		err := NewPlayer(ReadRecording([]byte(text)), 0).Play(t.Context(), m.See)
		if want == "" && err != nil || want != "" &&
			(err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// Whatever stands in a recording, it ends, and shows nothing that a terminal obeys.
func FuzzRecording(f *testing.F) {
	lines := bytes.SplitAfter(faultText(), []byte("\n"))
	f.Add(bytes.Join(lines[:2], nil))
	f.Add([]byte(`{"schema":"maxconn.recording/1","netns":"\u001b[2J","why":"\u009b"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		m := &Model{Width: 80, Height: 24}
		n := 0
		NewPlayer(ReadRecording(text), 0).Play(t.Context(), func(now Now) {
			if m.See(now); n < 3 {
				n++
				obeyed(t, m.Frame())
			}
		})
	})
}

// control is what a terminal may obey.
var control = regexp.MustCompile("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u202a-\u202e]")

func obeyed(t *testing.T, text string) {
	t.Helper()
	if at := control.FindStringIndex(text); at != nil {
		t.Errorf("a terminal may obey this: %q", text[max(0, at[0]-40):at[1]])
	}
}

// Names may hold anything: no frame and no line has what a terminal obeys.
func TestHostileNames(t *testing.T) {
	for _, name := range hostile.Strings(t.TempDir()) {
		state := live.New(live.Options{})
		var s host.Snapshot
		s.Set(host.System("name"), name)
		s.Set(host.System("netns-name"), name)
		s.Set(host.Fact{Kind: host.ListenerKind, Name: "10.0.0.1:80"}, host.Fields{}.
			Add("process", name).AddInt("pid", 7).AddInt("limit", 5).
			AddInt("queue", 6).AddInt("family", 4).String())
		r, gauges := diagnose.CheckAll(s, diagnose.Options{})
		now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		state.Enter(now, live.Survey{Key: "a", Name: name, Own: true, Snapshot: s,
			Report: r, Gauges: gauges})
		state.Failed(now, "b", name+"b", name)
		m := &Model{Width: 200, Height: 24}
		m.See(Now{state.View(now, ""), map[string]host.Snapshot{"a": s}, []string{name}})
		var lines bytes.Buffer
		if err := NewLines(&lines).Write(m.now); err != nil {
			t.Fatal(err)
		}
		obeyed(t, lines.String())
		for _, keys := range [][]string{nil, {"enter"}, {"q", "p"}, {"q", "n"},
			{"n", "/", name}} {
			press(m, keys...)
			obeyed(t, m.Frame())
		}
	}
}

// Each survey is a line of JSON, with what happened since the line before, once.
func TestLines(t *testing.T) {
	text := faultText()
	var out bytes.Buffer
	lines := NewLines(&out)
	err := NewPlayer(ReadRecording(text), 0).Play(t.Context(), func(n Now) {
		if err := lines.Write(n); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	surveys, happened := 0, map[string]int{}
	for line := range strings.Lines(out.String()) {
		var l Line
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Schema != LineSchema ||
			l.Verdict == "" || l.Says == "" {
			t.Fatalf("%v: %s", err, line)
		}
		surveys++
		for _, e := range l.Events {
			happened[e.At.String()+e.What]++
		}
	}
	if want := bytes.Count(text, []byte("\n")); surveys != want {
		t.Errorf("%d lines of %d surveys", surveys, want)
	}
	began := 0
	for what, times := range happened {
		if times > 1 {
			t.Errorf("%d times: %s", times, what)
		}
		if strings.Contains(what, "began: critical accept-queue at 0.0.0.0:8080") {
			began++
		}
	}
	if began != 1 {
		t.Errorf("the fault began %d times: %v", began, happened)
	}
}

// A replay waits while it is frozen, and a change of its speed is felt at once.
func TestReplayObeys(t *testing.T) {
	text := faultText()
	p := NewPlayer(ReadRecording(text), 1./16)
	p.Freeze(true)
	shown, ended := make(chan Now), make(chan error, 1)
	go func() { ended <- p.Play(t.Context(), func(n Now) { shown <- n }) }()
	<-shown
	for range 8 {
		p.Speed(1000)
	}
	select {
	case <-shown:
		t.Error("it goes on while it is frozen")
	default:
	}
	p.Freeze(false)
	for {
		select {
		case <-shown:
			continue
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		}
		return
	}
}
