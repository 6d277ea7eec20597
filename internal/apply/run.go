package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/plan"
)

// Run is what a journal tells of one run.
type Run struct {
	Begin
	Started   time.Time
	GuardFrom uint64     // when that process started; 0 where it was not told
	Guard     int        // the process that rolls it back when the window ends, 0 for none
	Progress  []Progress // one a change of the plan
	Applied   bool
	UntilUp   float64 // the confirm window ends that many seconds after boot
	Until     time.Time
	Confirmed bool
	Judged    *fix.Judgement // by evidence; nil: not yet, or never
	Files     []fileNote
	Persisted bool
	Undo      string // why it was rolled back, "" if it was not begun
	Ended     bool
	EndedAt   time.Time
	Left      int // things that stayed when it was rolled back
	// Damaged says what in the journal cannot be read; what comes after that is lost,
	// and any change may have been written.
	Damaged string

	valid int64 // bytes of whole entries
}

// Progress is how far one change came.
type Progress struct {
	Intended bool // it may have been written
	Wrote    bool
	Became   string
	Undone   Outcome
	Text     string
}

var errNoBegin = errors.New("the journal has no beginning")

// parseRun reads a journal. The end of a line is written last, so what follows the last one never
// happened. An error means that not even the beginning can be read.
func parseRun(text []byte) (*Run, error) {
	r := &Run{}
	for n := 1; ; n++ {
		end := bytes.IndexByte(text[r.valid:], '\n')
		if end < 0 {
			break
		}
		err := r.line(text[r.valid : r.valid+int64(end)])
		if err != nil && n == 1 {
			return nil, fmt.Errorf("line 1: %w", err)
		}
		if err != nil {
			r.Damaged = fmt.Sprintf("line %d: %v", n, err)
			return r, nil
		}
		r.valid += int64(end) + 1
	}
	if r.Schema == "" {
		return nil, errNoBegin
	}
	return r, nil
}

func (r *Run) line(text []byte) error {
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return errors.New("it is not an entry of a journal")
	}
	return r.take(e)
}

// take adds what an entry says.
func (r *Run) take(e entry) error {
	if (e.Do == doBegin) != (r.Schema == "") {
		return fmt.Errorf("%q is out of place", e.Do)
	}
	if e.Do == doBegin {
		return r.begin(e)
	}
	if e.Change < 0 || e.Change > len(r.Progress) || e.FileNo < 0 || e.FileNo > len(r.Files) {
		return fmt.Errorf("there is no change %d or file %d", e.Change, e.FileNo)
	}
	var change Progress // for entries that are not about one
	at := &change
	if e.Change > 0 {
		at = &r.Progress[e.Change-1]
	}
	switch e.Do {
	case doGuard:
		r.Guard, r.GuardFrom = e.PID, e.Start
	case doWrite:
		at.Intended = true
	case doWrote:
		at.Wrote, at.Became = true, e.Became
	case doApplied:
		r.Applied, r.UntilUp = true, e.UntilUp
		r.Until = e.Time.Add(r.within())
	case doConfirmed:
		r.Confirmed = true
	case doJudged:
		if e.Judged == nil || r.Fix == nil {
			return errors.New("a judgement of nothing")
		}
		r.Judged = e.Judged
		if e.UntilUp > 0 {
			sooner := (e.UntilUp - r.UntilUp) * float64(time.Second)
			r.Until, r.UntilUp = r.Until.Add(time.Duration(sooner)), e.UntilUp
		}
	case doFile:
		if e.File == nil {
			return errors.New("a file without a name")
		}
		r.Files = append(r.Files, *e.File)
	case doPersisted:
		r.Persisted = true
	case doUndo:
		r.Undo = e.Why
	case doUndone:
		at.Undone, at.Text = e.Outcome, e.Text
	case doEnded:
		r.Ended, r.EndedAt, r.Left = true, e.Time, e.Left
	default:
		return fmt.Errorf("%.20q is no entry of this version", e.Do)
	}
	return nil
}

func (r *Run) begin(e entry) error {
	if e.Begin == nil || e.Begin.Schema != JournalSchema || e.Begin.ID <= 0 {
		return fmt.Errorf("it does not begin a journal of %s", JournalSchema)
	}
	if err := Check(e.Begin.Plan); err != nil {
		return err
	}
	r.Begin, r.Started = *e.Begin, e.Time
	r.Progress = make([]Progress, len(r.Plan.Changes))
	return nil
}

func (r *Run) within() time.Duration { return time.Duration(r.Within * float64(time.Second)) }

// mayHaveWritten says whether a change may have been written, and what it would have become.
func (r *Run) mayHaveWritten(i int) bool { return r.Progress[i].Intended || r.Damaged != "" }

// change is a change of the plan by its index.
func (r *Run) change(i int) plan.Change { return r.Plan.Changes[i] }

// JournalSchema names the form of a journal: a line of JSON an entry, the first of them a begin.
const JournalSchema = "maxconn.journal/1"

// What an entry says. "Intent" entries are on the disk before the thing happens.
const (
	doBegin     = "begin"     // intent of the whole run; the file appears with it, by a rename
	doGuard     = "guard"     // the process that will roll it back is up
	doWrite     = "write"     // intent: change N is about to be written
	doWrote     = "wrote"     // change N was written and became Became
	doApplied   = "applied"   // all changes are written; a confirm window runs from here
	doJudged    = "judged"    // what evidence says of it; what follows from that comes next
	doConfirmed = "confirmed" // somebody confirmed in time
	doFile      = "file"      // intent: a file for the next boot is about to be written
	doPersisted = "persisted" // all files are written
	doUndo      = "undo"      // intent: everything is about to be rolled back, because of Why
	doUndone    = "undone"    // change N or file N was rolled back, with this Outcome
	doEnded     = "ended"     // the run is over; Left things stayed as they were
)

// entry is a line of a journal.
type entry struct {
	Do    string    `json:"do"`
	Time  time.Time `json:"time"`
	Begin *Begin    `json:"begin,omitempty"`
	PID   int       `json:"pid,omitempty"` // guard
	// guard: when it started, in clock ticks since boot
	Start  uint64 `json:"start,omitempty"`
	Change int    `json:"change,omitempty"` // from 1
	Became string `json:"became,omitempty"`
	// applied, judged: when the window ends, in seconds since boot
	UntilUp float64   `json:"until_up,omitempty"`
	File    *fileNote `json:"file,omitempty"`
	FileNo  int       `json:"file_no,omitempty"` // undone: from 1
	Why     string    `json:"why,omitempty"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Text    string    `json:"text,omitempty"` // the value that stayed, or the error
	Left    int       `json:"left,omitempty"`
	// judged
	Judged *fix.Judgement `json:"judged,omitempty"`
}

// Begin is what a run set out to do.
type Begin struct {
	Schema string    `json:"schema"`
	ID     int       `json:"id"`
	Place  Place     `json:"place"`
	Plan   plan.Plan `json:"plan"`
	// seconds; 0: no confirmation is awaited
	Within  float64 `json:"confirm_within,omitempty"`
	Persist bool    `json:"persist,omitempty"`
	// what it is judged by, of a run of fix
	Fix *fix.Before `json:"fix,omitempty"`
}

// fileNote is a file for the next boot, and what was there before.
type fileNote struct {
	Path    string      `json:"path"`
	Mode    fs.FileMode `json:"mode"`
	New     []byte      `json:"new"`
	Existed bool        `json:"existed"`
	Old     []byte      `json:"old,omitempty"`
	OldMode fs.FileMode `json:"old_mode,omitempty"`
	// Keeps are the targets that it sets at each boot.
	Keeps []plan.Target `json:"keeps,omitempty"`
	// Made are the directories that did not exist, the outermost first.
	Made []string `json:"made,omitempty"`
}

// Outcome says what rolling one thing back came to.
type Outcome string

const (
	Restored Outcome = "restored" // the old value is there again, written now
	Already  Outcome = "already"  // the old value was there
	Gone     Outcome = "gone"     // the target no longer exists, or its boot is over
	Changed  Outcome = "changed"  // left: somebody else changed it since
	Failed   Outcome = "failed"   // left: it could not be written
)

// Stays says whether the thing is not as it was before the run.
func (o Outcome) Stays() bool { return o == Changed || o == Failed }
