package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/live"
)

// RecordingSchema names the form of a recording: lines of JSON, one for each survey of a network
// namespace, with the facts that are new since the one before.
const RecordingSchema = "maxconn.recording/1"

// LargestRecording is where a recording ends, in bytes.
const LargestRecording = 64 << 20

// Bounds of what is read: a line is one snapshot, and live keeps 64 namespaces.
const (
	longestLine = 16 << 20
	mostFacts   = 1 << 18 // of one namespace
	mostSpaces  = 256
)

// record is a line.
type record struct {
	Schema string    `json:"schema,omitempty"` // of the first line
	At     time.Time `json:"at"`
	Key    string    `json:"key"`
	Name   string    `json:"netns,omitempty"`
	Own    bool      `json:"own,omitempty"`
	// Set are facts that came or have another value, as in the text of a snapshot, and Unset
	// such lines of the survey before that are not true any more.
	Set   []string `json:"set,omitempty"`
	Unset []string `json:"unset,omitempty"`
	Why   string   `json:"why,omitempty"` // it could not be surveyed
	Ended bool     `json:"ended,omitempty"`
}

// Output is where a recording goes.
type Output interface {
	io.Writer
	Truncate(size int64) error
}

// Recorder writes a recording. After an error it writes nothing more: the file ends with the last
// survey that fitted. It is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	out    Output
	most   int64
	size   int64
	lines  int
	before map[string]map[string]bool
	err    error
}

// NewRecorder writes at most a number of bytes.
func NewRecorder(out Output, most int64) *Recorder {
	return &Recorder{out: out, most: most, before: map[string]map[string]bool{}}
}

// Written is how many lines have been, and why there are no more.
func (r *Recorder) Written() (lines int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines, r.err
}

// Enter records a survey.
func (r *Recorder) Enter(now time.Time, v live.Survey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	after, before := factLines(v.Snapshot), r.before[v.Key]
	rec := record{At: now, Key: v.Key, Name: v.Name, Own: v.Own}
	for _, line := range slices.Sorted(maps.Keys(after)) {
		if !before[line] {
			rec.Set = append(rec.Set, line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(before)) {
		if !after[line] {
			rec.Unset = append(rec.Unset, line)
		}
	}
	r.before[v.Key] = after
	r.write(rec)
}

// Failed records that a namespace could not be surveyed.
func (r *Recorder) Failed(now time.Time, key, name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write(record{At: now, Key: key, Name: name, Why: why})
}

// Gone records the end of a namespace.
func (r *Recorder) Gone(now time.Time, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.before, key)
	r.write(record{At: now, Key: key, Ended: true})
}

func (r *Recorder) write(rec record) {
	if r.err != nil {
		return
	}
	if r.lines == 0 {
		rec.Schema = RecordingSchema
	}
	text, err := encode.JSONLine(rec)
	if err == nil && r.size+int64(len(text)) > r.most {
		err = fmt.Errorf("it is full with %d MB", r.most>>20)
	}
	if err == nil {
		if _, err = r.out.Write(text); err != nil {
			err = errors.Join(err, r.out.Truncate(r.size))
		}
	}
	if err != nil {
		r.err = err
		return
	}
	r.size += int64(len(text))
	r.lines++
}

// factLines are those of the text of a snapshot.
func factLines(s host.Snapshot) map[string]bool {
	all := map[string]bool{}
	lines := strings.Split(strings.TrimSuffix(string(s.Text()), "\n"), "\n")
	for _, line := range lines[1 : len(lines)-1] {
		all[line] = true
	}
	return all
}

// snapshotOf is the other way.
func snapshotOf(lines map[string]bool) (host.Snapshot, error) {
	var none host.Snapshot
	frame := strings.Split(strings.TrimSuffix(string(none.Text()), "\n"), "\n")
	text := frame[0] + "\n" + strings.Join(slices.Sorted(maps.Keys(lines)), "\n") + "\n" +
		frame[1] + "\n"
	return host.Parse([]byte(text))
}

// Step is a moment of a recording: a survey, that one failed, or that a namespace has ended.
type Step struct {
	At        time.Time
	Key, Name string
	Own       bool
	Snapshot  host.Snapshot
	Why       string
	Ended     bool
}

// Recording is read from its beginning.
type Recording struct {
	rest   string
	line   int
	spaces map[string]map[string]bool
}

// ReadRecording begins with a text that may be one; Next says what is wrong with it.
func ReadRecording(text []byte) *Recording {
	return &Recording{rest: string(text), spaces: map[string]map[string]bool{}}
}

// Next is the next step, or io.EOF. A last line that was cut off is none.
func (r *Recording) Next() (Step, error) {
	for {
		line, rest, whole := strings.Cut(r.rest, "\n")
		if !whole && r.line > 0 || line == "" && rest == "" {
			if r.line == 0 {
				return Step{}, &host.SyntaxError{Line: 1, Why: "it is empty"}
			}
			return Step{}, io.EOF
		}
		r.rest = rest
		r.line++
		if line == "" {
			continue
		}
		s, err := r.step(line)
		if err != nil {
			return Step{}, &host.SyntaxError{Line: r.line, Why: err.Error()}
		}
		return s, nil
	}
}

var errNoRecording = errors.New("it is no recording: maxconn watch --record FILE makes one")

func (r *Recording) step(line string) (Step, error) {
	var rec record
	if len(line) > longestLine {
		return Step{}, errors.New("the line is longer than any that is written")
	}
	if json.Unmarshal([]byte(line), &rec) != nil ||
		r.line == 1 && rec.Schema != RecordingSchema {
		return Step{}, errNoRecording
	}
	s := Step{At: rec.At, Key: rec.Key, Name: rec.Name, Own: rec.Own, Why: rec.Why,
		Ended: rec.Ended}
	if s.Ended {
		delete(r.spaces, rec.Key)
	}
	if s.Ended || s.Why != "" {
		return s, nil
	}
	facts := r.spaces[rec.Key]
	if facts == nil {
		facts = map[string]bool{}
		r.spaces[rec.Key] = facts
	}
	for _, line := range rec.Unset {
		delete(facts, line)
	}
	for _, line := range rec.Set {
		if strings.ContainsAny(line, "\r\n") {
			return s, errNoRecording
		}
		facts[line] = true
	}
	if len(facts) > mostFacts || len(r.spaces) > mostSpaces {
		return s, errors.New("it has more facts than surveys find")
	}
	var err error
	s.Snapshot, err = snapshotOf(facts)
	return s, err
}
