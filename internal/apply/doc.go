// Package apply carries a plan out on the running kernel and rolls it back: journal first,
// then for each change compare, write, read back; on any error everything done so far is
// undone in reverse.
//
// The journal of a run is a file in the state directory. It is written, synced and renamed
// before the first change, and grows by one synced line before and after each. So whatever
// ends the program, and whenever, the next one knows what may have been changed, and
// Rollback restores the old values by compare-and-set: a value that is neither the old nor
// the new one belongs to somebody else and is left, and reported.
//
// With a confirm window a second process, which outlives the session, rolls everything back
// unless Confirm came in time. Files for the next boot are written after confirmation only,
// through the same journal.
//
// One run at a time: a lock in the state directory (flock(2)) is held by the process that
// writes.
package apply
