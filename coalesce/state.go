package coalesce

// The rule of who sends, as pure functions of a few facts, so that a test can
// walk through all states. The invariant: bytes that are pending and due, with
// nobody writing and no flusher started, are impossible, because a caller that adds
// bytes asks afterAppend and one that stops writing asks afterWrite, both under the
// lock.

// facts are what the decision of who sends depends on.
type facts struct {
	pending   bool // there are bytes that nobody is writing
	full      bool // a whole buffer of them, or MinBatch in ReadDriven
	aged      bool // the oldest is older than MaxDelay
	writing   bool // someone is writing to the connection
	scheduled bool // a flusher has been started and has not ended
	lazy      bool // held, Manual or ReadDriven
	// someone waits for it: Flush, Close, a blocked writer; or the socket was full
	wanted   bool
	eager    bool // Immediate
	backstop bool // lazy bytes may stay only as long as the sweeper lets them (ReadDriven)
}

// action is what the goroutine that asked does next.
type action uint8

const (
	nothing action = iota
	start          // start a flusher
	take           // write now, in this goroutine
	end            // end the flusher, then ask afterWrite
	sweep          // tell the sweeper
)

// due says whether pending bytes may be left alone.
func (f facts) due() bool { return f.pending && (!f.lazy || f.wanted || f.full) }

// afterAppend is asked by a writer that has added bytes.
func (f facts) afterAppend() action {
	switch {
	case f.writing:
		return nothing
	case !f.due():
		return f.leave()
	case f.eager || f.full || f.scheduled && f.aged:
		return take
	case f.scheduled:
		return nothing
	}
	return start
}

// afterWrite is asked by a caller that has just stopped writing, or ended a flusher, or
// waits for bytes to be sent.
func (f facts) afterWrite() action {
	switch {
	case f.writing || f.scheduled:
		return nothing
	case f.due():
		return start
	}
	return f.leave()
}

// leave is what to do about bytes that are not due.
func (f facts) leave() action {
	if f.pending && f.backstop && !f.scheduled {
		return sweep
	}
	return nothing
}

// flusherLooks is asked by the flusher each time round. When someone else is
// writing it ends: that one asks afterWrite.
func (f facts) flusherLooks() action {
	if f.writing || !f.due() {
		return end
	}
	return take
}
