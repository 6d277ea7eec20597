package apply

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// UndoneError is a run that failed and was rolled back, as far as Undo says.
type UndoneError struct {
	Err  error
	Undo Taken
}

// Error is one line: what failed, and what has become of the rest.
func (u *UndoneError) Error() string {
	return u.Err.Error() + "; " + u.Undo.sentence()
}

// Unwrap gives the cause.
func (u *UndoneError) Unwrap() error { return u.Err }

// RollbackSchema names the JSON form of Taken.
const RollbackSchema = "maxconn.rollback/1"

// Taken is what rolling a run back came to.
type Taken struct {
	Schema string `json:"schema"`
	Run    int    `json:"run"`
	State  State  `json:"state"`
	// Items are what was rolled back, in that order: files, then changes, the last
	// first. Empty where nothing had to be done.
	Items []Item `json:"items"`
	Left  int    `json:"left"` // of these, how many are not as before
	// InEffect are the other runs that are still in effect, the oldest first. Rollback
	// never goes on to them by itself: a script that rolls back twice must not undo
	// what an earlier day has set.
	InEffect []int `json:"in_effect,omitempty"`
	// Journal is an error of the journal; the kernel was written all the same.
	Journal error `json:"-"`
}

// Item is one thing that was rolled back.
type Item struct {
	Setting string  `json:"setting"` // or the path of a file
	To      string  `json:"to,omitempty"`
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text,omitempty"` // why it stayed
}

func (t *Taken) take(i Item) {
	t.Items = append(t.Items, i)
	if i.Outcome.Stays() {
		t.Left++
	}
}

// sentence says in a few words what has become of what was done.
func (t Taken) sentence() string {
	if t.Left == 0 {
		return "everything is as before"
	}
	var stays []string
	for _, i := range t.Items {
		if i.Outcome.Stays() {
			stays = append(stays, i.Setting+": "+i.Text)
		}
	}
	return "not as before: " + strings.Join(stays, "; ")
}

// undo rolls a run back by compare-and-set, in reverse, and goes on whatever happens: a
// disk that is full must not keep the kernel from getting its old values. What the journal
// could not be told, the next rollback finds out by comparing.
func (e *Engine) undo(l *log, why string) Taken {
	t := Taken{Schema: RollbackSchema, Run: l.run.ID, Items: []Item{}}
	tell := func(x entry) { t.Journal = errors.Join(t.Journal, l.add(x)) }
	tell(entry{Do: doUndo, Why: why})
	for i := len(l.run.Files) - 1; i >= 0; i-- {
		item := e.store().disk.restore(l.run.Files[i])
		tell(entry{Do: doUndone, FileNo: i + 1, Outcome: item.Outcome, Text: item.Text})
		t.take(item)
	}
	for i := len(l.run.Progress) - 1; i >= 0; i-- {
		if !l.run.mayHaveWritten(i) {
			continue
		}
		item := e.undoOne(l.run, i)
		tell(entry{Do: doUndone, Change: i + 1, Outcome: item.Outcome, Text: item.Text})
		t.take(item)
	}
	if t.Journal == nil {
		tell(entry{Do: doEnded, Left: t.Left})
	}
	t.State = Undone
	if t.Left > 0 {
		t.State = PartlyLeft
	}
	return t
}

// undoOne rolls one change back.
func (e *Engine) undoOne(r *Run, i int) Item {
	c := e.changeStatus(r, i)
	item := Item{Setting: c.Setting, To: c.From}
	switch {
	case c.Now == NowGone:
		item.Outcome, item.Text = Gone, c.Why
	case c.Now == NowUnknown:
		item.Outcome, item.Text = Failed, c.Why
	case tune.Same(c.From, c.Value):
		item.Outcome = Already
	case c.Now != NowNew:
		item.Outcome, item.Text = Changed,
			fmt.Sprintf("somebody else made it %s", orEmpty(c.Value))
	default:
		item.Outcome, item.Text = e.writeBack(r, i)
	}
	return item
}

// isOurs says whether a value is the one that this run left there. Where the run was ended
// between a write and its entry, or a file has set it at a later boot, that is the wanted
// value, or what the kernel makes of it.
func (e *Engine) isOurs(r *Run, i int, have string) bool {
	if p := r.Progress[i]; p.Wrote && r.Place.BootID == e.Here.BootID {
		return tune.Same(p.Became, have)
	}
	c := r.change(i)
	return tune.Same(c.To, have) || e.makes(c, have)
}

// somaxconn caps what listen() is given, in the network namespace of the socket.
const somaxconn = "net.core.somaxconn"

// makes says whether the kernel makes this value of the one wanted: of the length of a
// queue the lesser of it and somaxconn (net/socket.c __sys_listen), of the size of the
// conntrack table a whole number of pages (net/netfilter/nf_conntrack_core.c
// nf_ct_alloc_hashtable).
func (e *Engine) makes(c plan.Change, have string) bool {
	want, err1 := strconv.ParseInt(c.To, 10, 64)
	got, err2 := strconv.ParseInt(have, 10, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	switch {
	case c.Target.Kind == host.ListenerKind:
		text, err := e.Kernel.Read(plan.Target{Kind: host.SysctlKind, Name: somaxconn})
		most, err2 := strconv.ParseInt(text, 10, 64)
		return err == nil && err2 == nil && got == min(want, most)
	case c.Target.Name == "net.netfilter.nf_conntrack_buckets":
		page := int64(os.Getpagesize() / 8)
		return got%page == 0 && got >= want && got-want < page
	}
	return false
}

func (e *Engine) writeBack(r *Run, i int) (Outcome, string) {
	c := r.change(i)
	became, err := e.write(c.Target, c.From)
	switch {
	case errors.Is(err, ErrGone):
		return Gone, ""
	case err != nil:
		return Failed, err.Error()
	case !tune.Same(c.From, became):
		return Failed, fmt.Sprintf("the kernel kept %s, not %s", became, c.From)
	}
	return Restored, ""
}

// failedBecause begins the reason of a run that was rolled back because it failed.
const failedBecause = "it failed: "
