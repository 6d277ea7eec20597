package apply

import (
	"io/fs"
	"time"

	"github.com/maxconn/maxconn/internal/plan"
)

// JournalSchema names the form of a journal: a line of JSON an entry, the first of them a begin.
const JournalSchema = "maxconn.journal/1"

// What an entry says. "Intent" entries are on the disk before the thing happens.
const (
	doBegin     = "begin"     // intent of the whole run; the file appears with it, by a rename
	doGuard     = "guard"     // the process that will roll it back is up
	doWrite     = "write"     // intent: change N is about to be written
	doWrote     = "wrote"     // change N was written and became Became
	doApplied   = "applied"   // all changes are written; a confirm window runs from here
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
	// applied: when the window ends, in seconds since boot
	UntilUp float64   `json:"until_up,omitempty"`
	File    *fileNote `json:"file,omitempty"`
	FileNo  int       `json:"file_no,omitempty"` // undone: from 1
	Why     string    `json:"why,omitempty"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Text    string    `json:"text,omitempty"` // the value that stayed, or the error
	Left    int       `json:"left,omitempty"`
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
